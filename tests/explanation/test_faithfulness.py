"""Measures separate faithful maps from others, on models whose explanation is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from personality.explanation import cam, faithfulness, grounding, randomisation
from personality.explanation.average import save_average_attribution
from personality.explanation.explainer import Explainer
from personality.explanation.summary import summary, summary_cells
from personality.models import DAN, CamCNN
from personality.traits import TRAITS, Axis, Batch, Coordinates, source_id

CLIPS, SPACE = 8, (96, 64)
KNOWN = slice(24, 48), slice(16, 32)
"""Where the cue of every trait lies."""


class Split:
    """Clips of two segments, louder at `KNOWN` by their label."""

    targets, modality, parts = list(TRAITS), "audio", {}
    input_shape = (2, 1, *SPACE)

    def __init__(self):
        random = np.random.default_rng(0)
        self.labels = random.random((CLIPS, 5))
        self.inputs = random.normal(0, 0.2, (CLIPS, *self.input_shape)).astype("float32")
        self.inputs[(..., *KNOWN)] += 3 * self.labels.mean(1)[:, None, None, None, None]

        class Cache:
            segments = np.full(CLIPS, 2)

        self.caches = {"test": Cache}

    def segments(self, split):
        return self.caches[split].segments

    def fetch(self, split, clips):
        rows = np.asarray(clips)
        chosen = (torch.from_numpy(array[rows]) for array in (self.inputs, self.labels))
        return Batch(*chosen, torch.full((len(rows),), 2), torch.from_numpy(rows))

    def normalise(self, sample):
        return sample

    crop = normalise

    def baseline(self, inputs):
        return inputs.amin(tuple(range(1, inputs.ndim)), keepdim=True).expand_as(inputs)

    def transfer_batch_to_device(self, sample, device, _):
        return sample

    def clips(self, split):
        names = [f"source{number // 2}.{number:03d}.mp4" for number in range(CLIPS)]
        return pd.DataFrame(self.labels, pd.Index(names, name="clip"), TRAITS).assign(group=[*map(source_id, names)])

    def cues(self, split, clip, segment):
        mask = np.zeros(SPACE, bool)
        mask[KNOWN] = True
        return dict.fromkeys(TRAITS, mask)

    def coordinates(self, split, clip, segment):
        axes = Axis("time", np.linspace(0, 1, SPACE[0])), Axis("frequency", np.linspace(100, 8000, SPACE[1]))
        return Coordinates(0.0, 1.0, axes)


class Loudness(torch.nn.Module):
    """A model whose scores depend on `KNOWN` alone."""

    device = torch.device("cpu")
    explained_by = "hirescam"
    target_scale = torch.tensor([[0.0], [1.0]]).expand(2, 5)

    def forward(self, inputs):
        return inputs[(..., *KNOWN)].mean((1, 2, 3)).unsqueeze(1).expand(-1, 5)


def exact(model, inputs):
    """The exact map of `Loudness`."""
    maps = torch.zeros(len(inputs), 5, *SPACE)
    maps[(..., *KNOWN)] = inputs[(..., *KNOWN)].mean(1, keepdim=True)
    return cam.Attribution(maps, torch.zeros(len(inputs), 5), model(inputs))


def selected(clips):
    """A selection of one segment of each clip, for every trait."""
    rows = [(trait, rank, clip, clip % 2) for trait in TRAITS for rank, clip in enumerate(clips, 1)]
    return pd.DataFrame(rows, columns=["trait", "rank", "clip", "segment"])


CHOSEN = selected(range(CLIPS))
CONTROLS = faithfulness.OTHER_TRAIT, faithfulness.OTHER_CLIP, faithfulness.DIFFERENCE


def test_a_map_that_knows_beats_one_that_does_not():
    def ignorant(model, inputs):
        return exact(model, inputs)._replace(maps=torch.randn(len(inputs), 5, *SPACE, generator=torch.manual_seed(0)))

    table = faithfulness.measure(Explainer(Loudness(), Split(), "test"), CHOSEN, {"exact": exact, "noise": ignorant})
    means = summary(table, "method")
    assert list(means.index) == ["exact", "noise", *CONTROLS]
    assert means.loc["exact", "energy_pointing_game"] == pytest.approx(96 * 64 / (24 * 16))
    assert means.loc["exact", "pointing_game"] == 1
    assert means.loc["exact", "area_between_curves_low"] > 10 * abs(means.loc["noise", "area_between_curves"])
    assert (means.loc["exact", ["deletion", "insertion"]] > means.loc["noise", ["deletion", "insertion"]]).all()
    assert means.loc["noise", "energy_pointing_game"] == pytest.approx(1, abs=0.1)
    assert means.loc["noise", "pointing_game"] < 0.3
    assert (means["area_between_curves_low"] <= means["area_between_curves"]).all()
    assert (means["area_between_curves"] <= means["area_between_curves_high"]).all()


@pytest.mark.parametrize("alike", [False, True])
def test_maps_that_are_the_same_for_every_clip_do_not_beat_another_clip_s(alike):
    class Brightness(Loudness):
        """Each clip has noise of its own, which the score is the mean of."""

        def forward(self, inputs):
            return inputs.flatten(1).mean(1, keepdim=True).expand(-1, 5)

    def method(model, inputs):
        maps = inputs[:, :1].expand(-1, 5, *SPACE)
        return cam.Attribution(maps[:1].expand_as(maps) if alike else maps, torch.zeros(len(inputs), 5), model(inputs))

    table = faithfulness.measure(Explainer(Brightness(), Split(), "test"), CHOSEN, {"map": method})
    paired = table[table.method == faithfulness.DIFFERENCE]
    assert len(paired) == len(CHOSEN)
    own, other = (table[table.method == name].area_between_curves.to_numpy() for name in ("map", CONTROLS[1]))
    np.testing.assert_allclose(paired.area_between_curves, own - other)
    low = summary(table, "method").loc[faithfulness.DIFFERENCE, "area_between_curves_low"]
    assert (abs(low) < 1e-9) if alike else (low > 0)


def test_a_control_is_of_another_clip():
    clips = np.array([3, 3, 5, 3])
    others = faithfulness._others(clips)
    assert (clips[others] != clips).all()
    assert faithfulness._others(np.array([4, 4])) == []


def test_a_curve_goes_low_the_whole_to_nothing_in_the_order_of_the_map():
    inputs = torch.arange(40.0).view(1, 1, 5, 8)
    model = lambda batch: batch.flatten(1).sum(1, keepdim=True)  # noqa: E731
    scores = faithfulness.deletion_curve(model, inputs, inputs[:, 0], 0, torch.zeros_like(inputs))[0]
    assert scores.tolist() == [sum(range(40 - 2 * step)) for step in range(21)]


def test_equal_places_keep_their_order_so_that_a_curve_is_one_result():
    inputs = torch.rand(2, 1, 6, 6)
    model = lambda batch: batch.flatten(1)  # noqa: E731
    flat = torch.zeros(2, 6, 6)
    scores = faithfulness.deletion_curve(model, inputs, flat, 0, torch.full_like(inputs, 9))
    assert (scores[:, 1:] == 9).all()


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("build", [CamCNN, DAN])
def test_randomised_weights_change_the_map_of_a_model(build, inference):
    torch.manual_seed(0)
    model = build((2, 1, *SPACE), width=0.1).eval()
    torch.nn.init.normal_(model.head.linear.weight)
    random = torch.get_rng_state()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    seen = []

    def sparse(model, inputs):
        """The highest tenth of a map; all else is 0, as it is where a network sees nothing."""
        found = cam.best(model, inputs)
        maps = found.maps.flatten(2)
        maps = maps.where(maps >= maps.quantile(0.9, dim=2, keepdim=True), 0)
        seen.append(maps.numpy())
        return found._replace(maps=maps.view_as(found.maps))

    with torch.inference_mode(inference):  # as within a validation
        table = randomisation.parameter_randomisation_test(Explainer(model, Split(), "test", sparse), CHOSEN)
    expected = [
        spearmanr(true[target], other[target]).statistic
        for start in range(5, len(seen), 5)  # five traits of the model, then five after each change
        for target, pair in enumerate(zip(seen[:5], seen[start : start + 5], strict=True))
        for true, other in zip(*pair, strict=True)
    ]
    np.testing.assert_allclose(table["rank_correlation"], expected, atol=1e-6)
    likeness = table.groupby("layers")["rank_correlation"].mean()
    assert likeness[0] == pytest.approx(1)
    assert likeness.iloc[-1] < 0.5
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_maps_that_are_constant_are_not_called_alike():
    def constant(model, inputs):
        return cam.Attribution(torch.ones(len(inputs), 5, 6, 4), torch.zeros(len(inputs), 5), model(inputs))

    model = CamCNN((2, 1, *SPACE), width=0.05).eval()
    table = randomisation.parameter_randomisation_test(Explainer(model, Split(), "test", constant), CHOSEN)
    assert (table["rank_correlation"] == 0).all()
    assert table["energy_pointing_game"].tolist() == pytest.approx([1.0] * len(table))


def test_rank_correlation_is_spearmans_with_ties_and_0_for_constant_rows():
    rng = np.random.default_rng(0)
    these, those = rng.normal(size=(2, 40, 60))
    these[10:20], those[10:20] = rng.integers(0, 4, (2, 10, 60))  # ties
    these[20:30] *= rng.random((10, 60)) < 0.1  # sparse
    those[20:30] *= rng.random((10, 60)) < 0.1
    these[30], those[30] = np.eye(60)[[3, 50]]  # two spots that do not touch
    found = randomisation._rank_correlation(torch.from_numpy(these).float(), torch.from_numpy(those).float())
    expected = [spearmanr(*rows).statistic for rows in zip(these, those, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found[30] == pytest.approx(-1 / 59)

    constant = torch.full((3, 60), 0.3)
    varied = torch.from_numpy(these[:3]).float()
    for pair in [(constant, constant), (constant, varied), (varied, constant)]:
        assert randomisation._rank_correlation(*pair).tolist() == [0, 0, 0]


def test_the_highest_of_equal_places_is_not_the_first_of_them():
    mask = np.zeros((6, 4), bool)
    mask[0, 0] = True
    assert grounding.pointing_game(np.zeros((6, 4)), mask) == pytest.approx(1 / 24)
    block = np.zeros((6, 4))
    block[:2, :2] = 1
    assert grounding.pointing_game(block, mask) == 0.25


def test_intervals_are_over_sources_that_have_a_number():
    rng = np.random.default_rng(0)
    of_source, clips = (
        rng.normal(3, 1, 400),
        [f"s{source}.{clip:03d}.mp4" for source in range(400) for clip in range(5)],
    )
    known = np.tile([True, True, True, True, False], 400)  # in each fifth clip the cue is not heard
    table = pd.DataFrame(
        {
            "trait": ["openness"] * 2000 + ["neuroticism"] * 2 + ["extraversion"] * 2,
            "group": [*map(source_id, clips), "a", "a", "a", "b"],
            "trained": [*np.repeat(of_source, 5), 1, 2, np.nan, np.nan],
        }
    )
    table.loc[:1999, "trained"] = table["trained"][:2000].where(known)
    means = summary(table, "trait")
    assert means.columns.tolist() == ["trained", "trained_low", "trained_high"]
    assert means.index.tolist() == ["openness", "neuroticism", "extraversion"]
    value, low, high = means.loc["openness"]
    assert value == pytest.approx(of_source.mean())
    standard_error = of_source.std() / 20  # of 400 sources, not of 1,600 clips, whose interval is half as wide
    assert (high - low) / (2 * 1.96 * standard_error) == pytest.approx(1, abs=0.06)
    assert (low + high) / 2 == pytest.approx(value, abs=0.1 * standard_error)
    assert means.loc["neuroticism"].tolist() == pytest.approx([1.5, np.nan, np.nan], nan_ok=True)  # one source
    assert means.loc["extraversion"].isna().all()
    written = summary_cells(means)["trained"]
    assert written.tolist() == [f"{value:.3f} [{low:.3f}, {high:.3f}]", "1.500", "-"]


def test_average_evidence_lies_where_the_clips_have_it(tmp_path):
    model = Loudness()
    order = Split().labels.mean(1).argsort()
    explainer = Explainer(model, Split(), "test", exact)
    save_average_attribution(tmp_path, explainer, selected(order[-2:]), selected(order[:2]))
    arrays = np.load(tmp_path / "average.npz")
    high, low = arrays["maps"][:, 0]
    assert high.shape == (SPACE[1],)
    inside = np.zeros(SPACE[1], bool)
    inside[KNOWN[1]] = True
    assert (high[inside] > low[inside]).all()
    assert not high[~inside].any()
    assert np.array_equal(arrays["cues"][0, 0] > 0, inside)
    whole = Split().inputs[order[-2:]]
    expected = np.zeros_like(whole[:, :, 0])
    expected[(..., *KNOWN)] = whole[(slice(None), slice(None), 0, *KNOWN)]
    np.testing.assert_allclose(high, expected.mean((0, 1, 2)), rtol=1e-5)
    assert {path.name for path in tmp_path.glob("*.png")} == {f"average_{trait}.png" for trait in TRAITS}


def test_a_single_picture_is_measured_against_its_mean_colour_not_against_itself():
    class Picture(Split):
        input_shape, modality = (2, 3, *SPACE), "image"

        def baseline(self, inputs):
            return inputs.mean((2, 3), keepdim=True).expand_as(inputs)

    table = faithfulness.measure(Explainer(Loudness(), Picture(), "test"), selected([CLIPS - 1]), {"exact": exact})
    assert (table.query("method == 'exact'").area_between_curves > 0).all()


def test_an_exact_map_is_measured_beside_whichever_method_was_asked_for(tmp_path):
    model = CamCNN((2, 1, *SPACE), width=0.05).eval()
    faithfulness.save_faithfulness(tmp_path, Explainer(model, Split(), "test", cam.grad_cam), selected([0]))
    measured = pd.read_csv(tmp_path / "faithfulness.csv").method
    others = [name for name in cam.METHODS if name != "grad_cam"]
    assert [*measured] == ["grad_cam", *others, faithfulness.OTHER_TRAIT]  # there is no other clip


def test_every_segment_is_read_once_in_batches():
    class Counted(Split):
        fetched = ()

        def fetch(self, split, clips):
            self.fetched = (*self.fetched, *clips)
            return super().fetch(split, clips)

    data = Counted()
    explainer = Explainer(CamCNN((2, 1, *SPACE), width=0.05).eval(), data, "test")
    segments = CHOSEN[["clip", "segment"]].to_numpy()
    found = explainer.explain(segments)
    faithfulness.measure(explainer, CHOSEN, {"best": cam.best})
    explainer.untrained().explain(segments)
    assert sorted(data.fetched) == [*range(CLIPS)]
    for (clip, segment), each in zip(segments, found, strict=True):
        assert np.array_equal(each.inputs, data.inputs[clip, segment])


def test_occlusion_covers_with_the_baseline_of_the_data():
    data, model = Split(), CamCNN((2, 1, *SPACE), width=0.05).eval()
    inputs = torch.from_numpy(data.inputs[:2, 0])
    expected = cam.occlusion(model, inputs, baseline=data.baseline).maps
    found = Explainer(model, data, "test", cam.occlusion).explain(np.array([(0, 0), (1, 0)]))
    np.testing.assert_allclose(np.stack([each.maps for each in found]), expected.numpy(), atol=1e-6)
