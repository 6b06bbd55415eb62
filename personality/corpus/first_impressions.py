"""ChaLearn First Impressions V2: 10,000 clips of people who talk to a camera, with apparent traits."""

from functools import cached_property
from pathlib import Path
from typing import Any

from personality.corpus.files import File, find_files, keep_files
from personality.corpus.labelled import LabelledCorpus
from personality.traits import TRAITS


class FirstImpressions(LabelledCorpus):
    """A folder with files of First Impressions, in any nesting.

    The clips may be in the organisers' archives (`train-1.zip`, ...), which are read without unpacking, or in folders
    of videos. Sound alone (`VoiceData/trainingData/<clip>.wav`) is enough for inputs of sound. Label files are those of
    2017 (`annotation_training.pkl`) or of 2016 (`training_gt.csv`). The environment variables
    PERSONALITY_PASSWORD_OUTER and PERSONALITY_PASSWORD_INNER hold the passwords of encrypted archives in the folder,
    and of encrypted archives within archives.

    In the official splits most persons in val and test are also in train.

    Args:
        root: The folder.
        interview: Whether the interview score is a sixth label: whether to invite the person to a job interview.
        keep_videos: A folder to which `prepare` unpacks all archives, once. Useful for encrypted archives within
            archives, such as the test clips: otherwise they are unpacked to a temporary folder each time.
        **splitting: See `Corpus`.

    Example:
        FirstImpressions("/data/first_impressions").clips("train")[["path", "openness"]]
    """

    name = "first_impressions"
    remedy = "download the data set from https://chalearnlap.cvc.uab.cat/dataset/24/description/ and pass its folder"

    def __init__(
        self, root: str | Path, interview: bool = False, keep_videos: str | Path | None = None, **splitting: Any
    ) -> None:
        super().__init__(**splitting)
        self.root, self.keep_videos = Path(root), None if keep_videos is None else Path(keep_videos)
        self.targets = [*TRAITS, "interview"] if interview else [*TRAITS]

    def prepare(self) -> None:
        """Unpack archives to `keep_videos`, and log what was found."""
        if self.keep_videos:
            keep_files(self.root, self.suffixes, self.keep_videos)
        super().prepare()

    @cached_property
    def _files(self) -> list[File]:
        return find_files(self.root, self.suffixes, self.keep_videos)
