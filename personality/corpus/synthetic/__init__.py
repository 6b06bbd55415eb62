"""The generator of the sample corpus: drawn faces and synthetic voices with ground-truth cues."""

from personality.corpus.synthetic.sample_corpus import SampleCorpus

__all__ = ["SampleCorpus"]
