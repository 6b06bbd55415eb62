"""The formulas against SciPy, scikit-learn and torchmetrics, and `TraitMetrics` against the formulas."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sklearn
from torchmetrics import functional

from personality.evaluation.metrics import METRICS, compute_metrics, trait_mean
from personality.evaluation.trait_metrics import TraitMetrics
from personality.traits import TRAITS

MEAN = torch.tensor([0.57, 0.52, 0.48, 0.55, 0.52])


def scored(clips: int, targets: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and labels in [0, 1] that have something to do with each other."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.rand(clips, targets, generator=rng)
    return 0.6 * labels + 0.3 * torch.rand(clips, targets, generator=rng), labels


@pytest.mark.parametrize("clips", [2, 3, 50, 2001])
def test_metrics_equal_independent_libraries(clips):
    scores, labels = scored(clips)
    result = compute_metrics(scores, labels, MEAN)
    for target, (x, y) in enumerate(zip(scores.double().numpy().T, labels.double().numpy().T, strict=True)):
        constant = np.full_like(y, MEAN[target].item())
        expected = {
            "accuracy": 1 - sklearn.mean_absolute_error(y, x),
            "r2": sklearn.r2_score(y, x),
            "pcc": stats.pearsonr(x, y).statistic,
            "ccc": 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2),
            "std_ratio": x.std() / y.std(),
            "mse": sklearn.mean_squared_error(y, x),
            "skill": 1 - sklearn.mean_absolute_error(y, x) / sklearn.mean_absolute_error(y, constant),
        }
        assert tuple(result) == METRICS
        assert {name: values[target].item() for name, values in result.items()} == pytest.approx(expected, abs=1e-9)


def test_metrics_equal_torchmetrics_where_it_has_them():
    scores, labels = (values.double() for values in scored(500))
    result = compute_metrics(scores, labels, MEAN)
    torch.testing.assert_close(result["pcc"], functional.pearson_corrcoef(scores, labels))
    torch.testing.assert_close(result["r2"], functional.r2_score(scores, labels, multioutput="raw_values"))
    torch.testing.assert_close(result["mse"], functional.mean_squared_error(scores, labels, num_outputs=5))
    torch.testing.assert_close(result["ccc"], functional.concordance_corrcoef(scores, labels), rtol=0, atol=1e-3)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.883, 71.3])
def test_constant_scores_have_no_correlation_and_no_skill(level):
    _, labels = scored(1000, targets=1)
    rounding = torch.linspace(-1, 1, 1000).unsqueeze(1) * level * 1e-7  # as the rounding of float32 leaves it
    for scores in (torch.full_like(labels, level), level + rounding):
        result = compute_metrics(scores, labels, labels.mean(0))
        assert result["pcc"].isnan()
        assert result["ccc"] == 0
        assert result["r2"] < 1e-12
        assert result["skill"] < 1e-6


def test_constant_labels_have_no_r2_and_no_correlation():
    scores, _ = scored(10, targets=1)
    labels = torch.full_like(scores, 0.4)
    result = compute_metrics(scores, labels, torch.tensor([0.4]))
    assert all(result[name].isnan() for name in ("r2", "pcc", "skill"))
    assert result["accuracy"] == pytest.approx(1 - (scores - 0.4).abs().mean().item(), abs=1e-7)


def test_a_hopelessly_small_error_is_not_called_perfect():
    labels = torch.tensor([[0.500], [0.501], [0.502]])
    assert compute_metrics(labels.flip(0), labels, torch.tensor([0.5]))["r2"].item() == pytest.approx(-3, abs=1e-3)


def test_clips_without_a_label_are_left_out_target_by_target():
    scores, labels = scored(100)
    holes = torch.rand(100, 5, generator=torch.Generator().manual_seed(1)) < 0.3
    result = compute_metrics(scores, labels.masked_fill(holes, torch.nan), MEAN)
    for target in range(5):
        kept = ~holes[:, target]
        alone = compute_metrics(scores[kept][:, [target]], labels[kept][:, [target]], MEAN[[target]])
        assert {name: v[target].item() for name, v in result.items()} == pytest.approx(
            {name: v.item() for name, v in alone.items()}, abs=1e-12
        )


def test_no_clip_and_a_score_that_is_no_number_give_no_number():
    nothing = compute_metrics(torch.empty(0, 1), torch.empty(0, 1), torch.tensor([0.5]))
    assert all(value.isnan() for value in nothing.values())
    scores, labels = scored(10, targets=1)
    scores[3] = torch.nan
    assert all(value.isnan() for value in compute_metrics(scores, labels, torch.tensor([0.5])).values())


def test_interview_has_metrics_but_is_not_averaged():
    targets = (*TRAITS, "interview")
    scores, labels = scored(40, targets=6)
    metrics = TraitMetrics(targets, torch.full((6,), 0.5), clips=40)
    metrics.update(scores, labels, torch.arange(40))
    result = metrics.compute()
    assert result["accuracy"] == pytest.approx(np.mean([result[f"accuracy/{trait}"] for trait in TRAITS]), abs=1e-6)
    assert result["accuracy/interview"] == pytest.approx(1 - (scores - labels).abs()[:, 5].mean().item(), abs=1e-6)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_metric_does_not_depend_on_batches_order_or_repeats(batch):
    scores, labels = scored(50)
    metrics = TraitMetrics(TRAITS, MEAN, clips=60)
    for clips in torch.cat([torch.arange(50).flip(0), torch.tensor([3, 3, 49])]).split(batch):
        metrics.update(scores[clips], labels[clips], clips)
    assert_equal(metrics.compute(), scores, labels)
    metrics.reset()
    metrics.update(scores[:10], labels[:10], torch.arange(10))
    assert_equal(metrics.compute(), scores[:10], labels[:10])


def test_batches_allocate_no_memory_that_stays():
    scores, labels = scored(1023)
    metrics = TraitMetrics(TRAITS, MEAN, clips=1023)
    address = metrics.table.data_ptr()
    for clip in range(1023):
        metrics.update(scores[clip : clip + 1], labels[clip : clip + 1], torch.tensor([clip]))
    assert metrics.table.data_ptr() == address
    assert_equal(metrics.compute(), scores, labels)


def test_clips_are_told_apart_in_half_precision_too():
    scores, labels = (values.bfloat16() for values in scored(2000))
    metrics = TraitMetrics(TRAITS, MEAN, clips=2000)
    metrics.update(scores, labels, torch.arange(2000))
    assert_equal(metrics.compute(), scores, labels)


def test_metric_copies_its_mean():
    scores, labels = scored(20)
    mean = MEAN.clone()
    metrics = TraitMetrics(TRAITS, mean, clips=20)
    mean.fill_(0.9)
    metrics.update(scores, labels, torch.arange(20))
    assert_equal(metrics.compute(), scores, labels)
    assert not metrics.state_dict()


def test_a_mean_that_does_not_fit_the_targets():
    with pytest.raises(ValueError, match=r"Got a mean of shape \(4,\) for 5 targets: expected one"):
        TraitMetrics(TRAITS, MEAN[:4], clips=1)


def assert_equal(result: dict[str, torch.Tensor], scores: torch.Tensor, labels: torch.Tensor) -> None:
    expected = compute_metrics(scores, labels, MEAN)
    for name, values in expected.items():
        together = torch.stack([result[f"{name}/{trait}"] for trait in TRAITS]).double()
        torch.testing.assert_close(together, values, rtol=0, atol=1e-6, equal_nan=True)
        torch.testing.assert_close(result[name].double(), trait_mean(values, TRAITS), rtol=0, atol=1e-6, equal_nan=True)
