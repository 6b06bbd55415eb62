"""`TraitMetrics` in one, two and three processes, with uneven splits and clips that samplers repeat."""

import multiprocessing
from datetime import timedelta

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import start_processes

from personality.evaluation.metrics import compute_metrics
from personality.evaluation.trait_metrics import TraitMetrics
from personality.traits import TRAITS


@pytest.mark.slow
def test_metric_is_exact_in_one_two_and_three_processes(tmp_path):
    multiprocessing.set_forkserver_preload(["personality.evaluation.metrics"])  # imported once for the three
    start_processes(one_process, (str(tmp_path / "meeting"),), nprocs=3, start_method="forkserver")


def one_process(rank: int, meeting: str) -> None:
    distributed.init_process_group("gloo", f"file://{meeting}", timedelta(seconds=60), rank=rank, world_size=3)
    for processes in (1, 2, 3):
        group = distributed.new_group(list(range(processes)))
        if rank < processes:
            for clips in (3, 49, 50):
                check_a_share(clips, torch.arange(-(-clips // processes) * processes) % clips, processes, group)
            check_a_share(1, torch.zeros(1, dtype=torch.long), processes, group)  # some processes see no clip
    distributed.destroy_process_group()


def check_a_share(clips: int, dealt: torch.Tensor, processes: int, group: distributed.ProcessGroup) -> None:
    """Evaluate every n-th clip in batches of eight. The last batches repeat the first clips, as samplers do."""
    rng = torch.Generator().manual_seed(clips)
    labels = torch.rand(clips, 5, generator=rng)
    scores = 0.6 * labels + 0.3 * torch.rand(clips, 5, generator=rng)
    mean = torch.full((5,), 0.5)
    metrics = TraitMetrics(TRAITS, mean, clips)
    metrics.process_group = group
    for batch in dealt[distributed.get_rank() :: processes].split(8):
        if len(batch):
            metrics.update(scores[batch], labels[batch], batch)
    result = metrics.compute()
    for name, expected in compute_metrics(scores, labels, mean).items():
        found = torch.stack([result[f"{name}/{trait}"] for trait in TRAITS]).double()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6, equal_nan=True)
