"""The page, opened in a browser: all of it is there, it plays and sorts, asks no network, and believes no name."""

import io
import json
import re
import shutil
from html import unescape
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread
from pytorch_lightning import Trainer

from personality.callbacks import SaveHeatmaps, SaveReport, SaveResults
from personality.corpus import SampleCorpus, VideoFiles
from personality.data import ClipSpectrogram
from personality.evaluation import fairness
from personality.evaluation.reference import KnownError
from personality.explanation.annotated import ALL, GAMES, MAPS
from personality.explanation.charts import draw_lines, draw_stacked_bars
from personality.explanation.grounded_skill import EXPLAINED, PARTS
from personality.explanation.report import write_report
from personality.explanation.report_tables import GROUP_METRICS, SHOWN_MAPS
from personality.models import CamCNN
from personality.traits import QUANTILES, TRAITS

HOSTILE = "<img src=x onerror=hacked=1>.000.mp4"
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


class Renamed(SampleCorpus):
    """The sample corpus with a clip whose name is code, and with people of two genders."""

    def clips(self, split):
        table = super().clips(split)
        return table.rename(index={table.index[0]: HOSTILE}).sort_index()

    def people(self, split):
        clips = self.clips(split).index
        return pd.DataFrame({"gender": np.resize(["female", "male"], len(clips))}, clips)


def report(folder, data):
    Path(folder).mkdir()
    (folder / "metrics.csv").write_text("epoch,train/loss,val/skill,val/pcc\n0,0.2,,\n0,,-9,0.1\n1,0.1,,\n1,,0.2,0.4\n")
    model = CamCNN(data.input_shape, width=0.1)
    callbacks = [SaveResults(), SaveHeatmaps(top=3, average=True, faithfulness=True), SaveReport()]
    trainer = Trainer(accelerator="cpu", default_root_dir=folder, callbacks=callbacks, **QUIET)
    trainer.test(model, data, verbose=False)
    return folder / "report.html"


def written(folder, data, model=None):
    """The text of a page of what lies in a folder."""
    return write_report(folder, data, "test", model or CamCNN(data.input_shape, width=0.1)).read_text()


@pytest.fixture(scope="module")
def page_of_a_run(corpus, tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    shutil.copytree(corpus.root, root, dirs_exist_ok=True)
    renamed = Renamed(root, sizes=corpus.sizes, seconds=4, processes=1)
    data = ClipSpectrogram(renamed, segments=4, cache=str(root / "cache"), processes=0, batch_size=2)
    return report(root / "run", data)


@pytest.fixture
def opened(browser, page_of_a_run):
    """The page in a browser without network, and what went wrong or was asked for."""
    page = browser.new_page(offline=True)
    troubles, asked = [], []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_of_a_run.as_uri())
    yield page
    assert troubles == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.close()


@pytest.mark.slow
def test_pictures_load_and_all_say_what_they_show(opened):
    for trait in TRAITS:
        opened.click(f"#tab-{trait}")
        images = opened.locator(f"#panel-{trait} img")
        assert images.count() == 4
        for number in range(4):
            assert images.nth(number).get_attribute("alt")
            opened.wait_for_function(
                "image => image.complete && image.naturalWidth > 300", arg=images.nth(number).element_handle()
            )
    text = opened.inner_text("body")
    for word in (
        "mean predictor",
        "undefined",
        "must not be used",
        "random_map",
        "loss in training",
        "Planted cues",
        "Results by group",
    ):
        assert word in text


@pytest.mark.slow
def test_sorting_puts_the_largest_first(opened):
    for key in ("label", "error", "score"):
        opened.click(f"#sort button[data-key={key}]")
        values = opened.eval_on_selector_all(
            "#panel-openness li", f"items => items.map(item => Number(item.dataset.{key}))"
        )
        assert values == sorted(values, reverse=True)
        assert len(values) == 3


@pytest.mark.slow
def test_a_click_enlarges_and_the_sound_runs_with_a_cursor(opened):
    opened.click("#panel-openness .grid button >> nth=0")
    assert opened.is_visible("#large")
    opened.wait_for_function("() => document.getElementById('audio').duration > 3")
    opened.click("#segment")
    opened.wait_for_function("() => document.querySelector('.cursor').style.display === 'block'")
    start = float(opened.get_attribute("#panel-openness .grid button >> nth=0", "data-start"))
    assert opened.evaluate("document.getElementById('audio').currentTime") >= start
    opened.wait_for_function("() => document.getElementById('audio').paused", timeout=8000)  # the segment alone
    assert opened.evaluate("document.getElementById('audio').currentTime") < start + 2


@pytest.mark.slow
def test_it_can_be_used_with_a_keyboard_alone(opened):
    opened.focus("#tab-openness")
    opened.keyboard.press("ArrowRight")
    assert opened.is_visible("#panel-conscientiousness")
    assert not opened.is_visible("#panel-openness")
    opened.focus("#panel-conscientiousness .grid button >> nth=0")
    opened.keyboard.press("Enter")
    first = opened.inner_text("#caption")
    opened.keyboard.press("ArrowRight")
    assert opened.inner_text("#caption") != first
    opened.keyboard.press("Escape")
    assert not opened.is_visible("#closer")


@pytest.mark.slow
def test_a_name_that_is_code_stays_a_name(opened):
    assert HOSTILE.removesuffix(".mp4") in opened.inner_text("body")
    assert opened.evaluate("typeof hacked") == "undefined"
    assert opened.locator("img[src=x]").count() == 0


@pytest.mark.slow
def test_light_and_dark(opened):
    colour = "getComputedStyle(document.body).backgroundColor"
    before = opened.evaluate(colour)
    opened.click("#theme")
    assert opened.evaluate(colour) != before


def test_the_page_is_one_file_that_a_hundred_entries_keep_small(page_of_a_run):
    index = pd.read_csv(page_of_a_run.parent / "heatmaps/test/index.csv")
    text = page_of_a_run.read_text()
    sounds = json.loads(text.split('id="sounds">')[1].split("</script>")[0])
    sound = sum(map(len, sounds.values())) / len(sounds) * 15.3 / 4
    rest = (len(text) - sum(map(len, sounds.values()))) / len(index)
    assert 100 * (sound + rest) < 25e6


def test_a_bad_first_epoch_does_not_flatten_the_curves(page_of_a_run):
    assert "val/pcc, val/skill, from -0.5 to 0.4" in page_of_a_run.read_text()  # it had -9


def test_tables_of_the_page_give_each_mean_with_its_interval(page_of_a_run):
    text, heatmaps = page_of_a_run.read_text(), page_of_a_run.parent / "heatmaps/test"
    for name, title, columns in [
        ("cues", "Planted cues", ["trained", "untrained"]),
        (
            "faithfulness",
            "Methods and controls",
            ["area_between_curves", "deletion", "insertion", "energy_pointing_game", "pointing_game"],
        ),
        (
            "parameter_randomisation",
            "Parameter randomisation test",
            ["rank_correlation", "energy_pointing_game"],
        ),
    ]:
        numbers = pd.read_csv(heatmaps / f"{name}.csv", index_col=0)
        section = text.split(f"<h3>{title}</h3>")[1].split("</table>")[0]
        header, *rows = section.split("<tr>")[1:]
        assert re.findall("<th>(.*?)</th>", header) == [numbers.index.name, *columns]
        assert [unescape(row.split("</th>")[0]) for row in rows] == [f"<th>{key}" for key in numbers.index]
        for row, (_, line) in zip(rows, numbers.iterrows(), strict=True):
            cells = re.findall('<td data-title="(.*?)">(.*?)</td>', row)
            assert [title for title, _ in cells] == columns
            for (_, cell), column in zip(cells, columns, strict=True):
                value, low, high = line[[column, f"{column}_low", f"{column}_high"]]
                if value == value:
                    found = [float(number) for number in re.findall(r"-?\d+\.\d{3}", cell)]
                    assert found == pytest.approx([value, low, high][: 3 if low == low else 1], abs=0.0006)
                else:
                    assert cell == "-"
    assert re.search(r"<small>\d.* to \d", text.split("<h3>Planted cues</h3>")[1].split("</table>")[0])


def test_groups_of_people_have_their_results_on_the_page_of_a_run(page_of_a_run):
    section = page_of_a_run.read_text().split('<h2 id="groups">')[1].split("<h2")[0]
    assert re.findall("<h3>([^<]*)</h3>", section) == ["By gender"]
    assert re.findall("<tr><th>([^<]+)<", section) == ["female", "male"]  # too few sources for a gap


def test_the_table_by_group_shows_each_value_and_the_pair_of_each_gap(corpus, loading, tmp_path):
    rng = np.random.default_rng(0)
    clips = pd.Index([f"s{number // 2:03d}.{number % 2:03d}.mp4" for number in range(120)], name="clip")
    labels = pd.DataFrame(rng.random((120, 5)), clips, TRAITS)
    predictions = (labels + rng.normal(0, 0.1, labels.shape)).join(labels.add_suffix("_label"))
    people = pd.DataFrame(
        {"language": np.repeat(["<b>A</b>", "NA", "de"], 40), "age": np.repeat(["1", "2"], 60)}, clips
    )
    table = fairness(predictions, people, labels, resamples=20)
    table.to_csv(tmp_path / "fairness_test.csv", index=False)
    page = written(tmp_path, ClipSpectrogram(corpus, segments=4, **loading))
    assert "<b>" not in page
    parts = page.split('<h2 id="groups">')[1].split("<h3>")[1:]
    assert [part.split("</h3>")[0] for part in parts] == ["By language", "By age"]
    for part, attribute, groups in zip(parts, people, [["<b>A</b>", "NA", "de"], ["1", "2"]], strict=True):
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in part.split("<tr>")[2:]]
        assert [unescape(row[0].split("<small")[0]) for row in rows] == [*groups, "largest gap"]
        assert f">{120 // len(groups)} clips, {60 // len(groups)} sources<" in rows[0][0]
        means = table[(table.attribute == attribute) & (table.target == "mean")]
        for row, name in zip(rows, [*groups, "largest gap"], strict=True):
            expected = means[means.subset == name].set_index("metric").loc[[*GROUP_METRICS]]
            for cell, line in zip(row[1:], expected.itertuples(), strict=True):
                value, interval, *pair = unescape(cell.replace("</small>", "")).split("<small>")
                ends = [float(number) for number in (value, *interval.split(" to "))]
                assert ends == pytest.approx([line.value, line.low, line.high], abs=0.0006)
                assert pair == ([line.pair] if line.pair else [])


ERROR = {"split": "test", "subset": "new sources", "clips": 30, "sources": 9}
ENDS = {"rmse": 0.1, "low": -0.1, "high": 0.2}


def known_error():
    return ERROR | {name: dict.fromkeys(TRAITS, end) for name, end in ENDS.items()}


def test_scores_of_ones_own_videos_stand_beside_the_training_labels_and_the_error(corpus, loading, tmp_path):
    video = corpus.clips("test").path.iloc[0]
    data = ClipSpectrogram(VideoFiles([video]), segments=4, **loading)
    data.prepare_data()
    data.setup()
    model = CamCNN(data.input_shape, width=0.1)
    model.target_quantiles.copy_(torch.linspace(0.2, 0.8, QUANTILES).unsqueeze(1).expand(-1, 5))
    clips = pd.Index([f"talk.{number:03d}.mp4" for number in range(3)], name="clip")
    scores = pd.DataFrame(0.5, clips, TRAITS).assign(openness=[0.26, 0.32, 0.38], neuroticism=0.9)
    scores.join(pd.DataFrame(0.01, clips, [f"{trait}_std" for trait in TRAITS])).to_csv(
        tmp_path / "predictions_test.csv"
    )
    text = written(tmp_path, data, model)
    assert "The error of this model on people whom it has not met is not known" in text
    assert text.count("above 50 % of the training clips") == 3
    assert "above 20 % of the training clips" in text
    assert "above 100 % of the training clips" in text
    assert re.findall('data-title="openness">(.*?)</td>', text) == [
        f"{score:.3f}<small>above {place} %</small>" for score, place in [(0.26, 10), (0.32, 20), (0.38, 30)]
    ]
    assert "80 %:" not in text
    model.origin = {"corpus": corpus.config, "error": known_error()}
    text = written(tmp_path, data, model)
    assert "on 30 test clips from 9 sources of which training had no clip" in text
    assert "80 %: 0.220 to 0.520" in text  # of openness, 0.32
    assert "80 %: 0.800 to 1.000" in text  # of neuroticism, 0.9
    assert "<dt>trained on</dt><dd>SampleCorpus (synthetic)</dd>" in text
    assert KnownError.from_config(known_error()).config == known_error()


def test_the_head_says_what_was_run(page_of_a_run):
    head = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", page_of_a_run.read_text()))
    assert [*head] == ["data", "model", "corpus", "seed", "versions"]
    assert head["data"] == "ClipSpectrogram (audio), 4 segments of 1 × 96 × 64"
    assert re.fullmatch(r"CamCNN, [\d,]+ parameters", head["model"])
    assert head["corpus"] == "Renamed: 6 train + 3 val + 3 test clips"
    assert head["seed"] == "0"
    assert f"torch {version('torch')}, pytorch-lightning {version('pytorch-lightning')}" in head["versions"]


def test_what_people_saw_is_on_the_page_where_it_was_measured(corpus, loading, tmp_path):
    data = ClipSpectrogram(corpus, segments=4, **loading)
    assert 'id="annotations"' not in written(tmp_path, data)
    folder = tmp_path / "heatmaps/test"
    folder.mkdir(parents=True)
    counts = {"clips": 1200, "sources": 9, "maps": 1400, "chance": 0.25}
    rows = [
        {"subset": subset, "cue": "<b>voice", **counts, "map": name, "metric": metric, "target": target}
        for subset in ("all clips", "known sources", "new sources")
        for metric in GAMES
        for name in (*MAPS, f"{MAPS[0]} - {MAPS[1]}")
        for target in (ALL, *TRAITS)
    ]
    table = pd.DataFrame(rows)
    table["value"] = 1 + np.arange(len(table)) / 100
    table.assign(low=table.value - 0.5, high=table.value + 0.5).to_csv(folder / "annotations.csv", index=False)
    parts = pd.DataFrame([(part, target) for part in (EXPLAINED, *PARTS) for target in ("mean", *TRAITS)])
    parts = parts.set_axis(["part", "target"], axis=1).assign(clips=40, sources=9, low=np.nan, high=np.nan)
    parts["value"] = np.arange(len(parts)) / 100
    parts.to_csv(folder / "grounded_skill.csv", index=False)
    draw_stacked_bars(folder / "grounded_skill.png", parts.pivot_table("value", "part", "target", sort=False), "r2")
    page = written(tmp_path, data)
    assert "<b>" not in page
    text = page.split('id="annotations"')[1].split("<dialog")[0]
    games = table[(table.target == ALL) & table["map"].isin(SHOWN_MAPS) & (table.subset != "known sources")]
    section, skill = text.split("<h3>Grounded skill")
    assert re.findall("<h3>(.*?)</h3>", section) == [
        f"{name}, {subset}" for name in GAMES.values() for subset in ("all clips", "new sources")
    ]
    found = [float(value) for value in re.findall(r'<td data-title="[^"]*">(.*?)<small>', section)]
    expected = pd.concat([games[games.metric == metric] for metric in GAMES]).value
    np.testing.assert_allclose(found, expected, atol=0.006)
    assert "1,200 clips, 9 sources, 1,400 maps" in section
    assert "25 % annotated" in section
    assert [float(value) for value in re.findall(r'<td data-title="[^"]*">(.*?)</td>', skill)] == [*parts.value]
    assert skill.count("<img") == 1


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_nothing_is_wider_than_the_window_and_pictures_are_whole(opened, width):
    opened.set_viewport_size({"width": width, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    image = opened.locator("#panel-openness .grid img").first
    shown = image.evaluate("image => image.clientWidth / image.clientHeight")
    assert shown == pytest.approx(image.evaluate("image => image.naturalWidth / image.naturalHeight"), rel=0.02)
    cards = opened.locator("#panel-openness .grid li").first.evaluate("card => card.getBoundingClientRect().width")
    assert cards > 0.85 * width if width == 390 else cards < 0.6 * width


@pytest.mark.slow
def test_a_page_of_ones_own_videos_shows_their_scores(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("personality.corpus.video_files.CLIP_SECONDS", 1.4)
    videos = [corpus.clips("test").path.iloc[0], corpus.clips("val").path.iloc[0]]
    data = ClipSpectrogram(VideoFiles(videos), segments=4, cache=str(tmp_path / "cache"), processes=0, batch_size=2)
    text = report(tmp_path / "run", data).read_text()
    assert ">Videos</h2>" in text
    assert text.count("Mean and standard deviation over its 3 clips") == 2
    for video in videos:
        course = text.split(f"<h3>{Path(video).stem}</h3>")[1].split("</figure>")[0]
        assert re.search(rf'<img src="data:image/webp;base64,[^"]+" alt="3 clips: {", ".join(TRAITS)}, from ', course)
    assert 'id="results"' not in text
    assert 'id="sort"' not in text  # there is no label to sort by


def test_a_chart_shows_each_line_in_its_colour():
    points = np.array([[1, 0.0], [2, 1.0], [3, 0.5]])
    one, both = (
        imread(io.BytesIO(draw_lines(lines, "epoch"))) for lines in ({"a": points}, {"a": points, "b": 1 - points})
    )
    red, blue = (
        [(picture[..., :3] @ mix > 0.3).mean() for picture in (one, both)] for mix in ([1, -0.5, -0.5], [-1, 0, 1])
    )
    assert red[0] > 0.002
    assert blue == [0, pytest.approx(red[1], rel=0.5)]
