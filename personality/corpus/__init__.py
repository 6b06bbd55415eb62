"""Corpora: where the clips and their labels are."""

from personality.corpus.base import Corpus
from personality.corpus.first_impressions import FirstImpressions
from personality.corpus.image_folder import ImageFolder
from personality.corpus.splits import SPLITS
from personality.corpus.synthetic import SampleCorpus
from personality.corpus.table import TableCorpus
from personality.corpus.video_files import VideoFiles

__all__ = ["SPLITS", "Corpus", "FirstImpressions", "ImageFolder", "SampleCorpus", "TableCorpus", "VideoFiles"]
