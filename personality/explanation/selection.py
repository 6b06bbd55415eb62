"""The segments that are explained: for each trait those of the clips with the highest scores."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.explanation.explainer import Explainer
from personality.traits import Scores


class Highest:
    """The highest scores of every trait, found batch by batch, with memory for `top` rows a trait.

    A row is `(score, clip, segment, segment score)`. Equal scores are ordered by clip and segment, so that the result
    depends neither on the batches nor on the number of processes.

    Args:
        targets: How many traits.
        top: How many rows a trait.
        all_segments: Rank segments by their own scores, so that a clip can appear several times. By default each clip
            appears once, ranked by the score of the clip, with its highest segment.
        lowest: Select the lowest clips instead; segments are still those with the highest score.
    """

    def __init__(self, targets: int, top: int, all_segments: bool = False, lowest: bool = False) -> None:
        self.top, self.all_segments, self.lowest = top, all_segments, lowest
        self.rows = np.empty((targets, 0, 4))

    def add_batch(self, scores: Scores, clips: Tensor) -> None:
        """Add the clips of a batch."""
        segment_scores = scores.segments.double().cpu().permute(2, 0, 1)
        clip_scores = scores.clips.double().cpu().T.unsqueeze(2)
        segment = torch.arange(segment_scores.shape[2]).expand_as(segment_scores)
        if not self.all_segments:
            segment = segment_scores.nan_to_num(nan=-torch.inf).argmax(2, keepdim=True)
            segment_scores = segment_scores.gather(2, segment)
        clip = clips.cpu().view(1, -1, 1).expand_as(segment_scores)
        score = segment_scores if self.all_segments else clip_scores.expand_as(segment_scores)
        self.add_rows(torch.stack([score, clip, segment, segment_scores], dim=3).flatten(1, 2).numpy())

    def add_rows(self, rows: np.ndarray) -> None:
        """Add rows `(targets, n, 4)`, such as those of another process; rows with a NaN are skipped."""
        self.rows = np.stack([self._highest(candidates) for candidates in np.concatenate([self.rows, rows], axis=1)])

    def _highest(self, rows: np.ndarray) -> np.ndarray:
        rows = rows[np.isfinite(rows[:, [0, 3]]).all(1)]  # a clip without words has a score, but no segment
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0] if self.lowest else -rows[:, 0]))]
        unique = rows[:, 1 : 3 if self.all_segments else 2]
        _, first = np.unique(unique, axis=0, return_index=True)  # a distributed sampler repeats clips
        rows = rows[np.sort(first)][: self.top]
        return np.pad(rows, ((0, self.top - len(rows)), (0, 0)), constant_values=np.nan)

    def table(self, traits: Sequence[str]) -> pd.DataFrame:
        """Return the selection as a table.

        Its columns are `score`, `clip` (a row of the split), `segment`, `segment_score`, `trait` and `rank` from 1 on.
        """
        tables = [
            pd.DataFrame(rows[np.isfinite(rows[:, 0])], columns=["score", "clip", "segment", "segment_score"])
            .astype({"clip": int, "segment": int})
            .assign(trait=trait, rank=lambda table: np.arange(len(table)) + 1)
            for trait, rows in zip(traits, self.rows, strict=True)
        ]
        return pd.concat(tables, ignore_index=True)


def of_part(explainer: Explainer, selection: pd.DataFrame) -> pd.DataFrame:
    """Select of the same clips the segments of one part of a joint model: for each trait the one it scores highest.

    Args:
        explainer: Of the part.
        selection: A table of `Highest`. Clips that lack the part are left out; the score of a clip stays the joint one.
    """
    data, counts = explainer.data, explainer.data.segments(explainer.split)
    rows = selection[counts[selection["clip"].to_numpy(int)] > 0]
    clips = rows["clip"].unique()
    scores = {clip: explainer.scores(np.array([[clip, row] for row in range(counts[clip])])) for clip in clips}
    targets = [data.targets.index(trait) for trait in rows["trait"]]
    segments = [int(scores[clip][:, target].argmax()) for clip, target in zip(rows["clip"], targets, strict=True)]
    found = [scores[clip][row, target] for clip, row, target in zip(rows["clip"], segments, targets, strict=True)]
    found_rows: pd.DataFrame = rows.assign(segment=np.array(segments, int), segment_score=np.array(found, float))
    return found_rows
