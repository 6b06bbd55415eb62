"""The structure of the code: which package imports which, how long files and functions are, and its vocabulary."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "personality").rglob("*.py"))

ALLOWED = {
    "atomic": [],
    "memory": [],
    "packaged": [],
    "pickles": [],
    "progress": [],
    "settings": [],
    "traits": [],
    "tables": ["traits", "pickles"],
    "features": ["traits", "atomic", "progress", "packaged"],
    "corpus": [
        "traits",
        "atomic",
        "progress",
        "tables",
        "pickles",
        "settings",
        "features.media",
        "features.encoding",
        "features.subtitles",
    ],
    "data": ["traits", "atomic", "progress", "tables", "settings", "corpus", "features"],
    "models": ["traits", "atomic", "settings", "evaluation.trait_metrics", "packaged"],
    "evaluation": ["traits", "atomic", "tables"],
    "explanation": ["traits", "atomic", "progress", "evaluation"],
    "callbacks": ["traits", "atomic", "evaluation", "explanation"],
    "pretrained": ["atomic"],
    "hub": ["pretrained"],
    "model_card": ["traits", "tables", "evaluation", "explanation.summary", "models.backbones"],
    "predictor": [
        "settings",
        "traits",
        "corpus",
        "data",
        "evaluation",
        "explanation",
        "models",
        "pretrained",
        "hub",
        "model_card",
    ],
    "__init__": ["predictor"],
    "app": [
        "traits",
        "corpus.transcripts",
        "features.media",
        "data",
        "evaluation",
        "callbacks",
        "predictor",
        "pretrained",
        "hub",
    ],
    "scripts": ["memory", "predictor", "pretrained", "data", "callbacks", "atomic", "evaluation", "explanation", "app"],
}
"""The packages and modules that each may import besides itself (docs: the packages of the project)."""
LIBRARIES = {
    "hydra": ["scripts"],
    "omegaconf": ["scripts"],
    "matplotlib": [
        "explanation.panels",
        "explanation.pictures",
        "explanation.charts",
        "explanation.average",
        "explanation.bill_pictures",
        "explanation.words",
        "evaluation.plots",
    ],
    "h5py": ["data.embedding_files"],
    "av": ["features.demux", "features.media", "features.encoding", "features.subtitles"],
    "safetensors": ["pretrained"],
    "huggingface_hub": ["hub"],
    "gradio": ["app.page", "app.server"],
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "anyio"), ("app.server",)),
    **dict.fromkeys(("torchcam", "captum", "sklearn", "skimage"), ()),
}
"""The modules that may import a library; the last four are independent references for tests."""
PRIVATE_WORDS = re.compile(
    r"\b(ledger|misfortune|trunks?|recipe|habits?|befell|jitter|foretells|wrong words|stumbles?|shall)\b", re.IGNORECASE
)
TEXTS = [
    *(file for suffix in ("py", "j2") for file in sorted((ROOT / "personality").rglob(f"*.{suffix}"))),
    *sorted((ROOT / "conf").rglob("*.yaml")),
    *[ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))],
]


SHARED = ("traits", "atomic", "progress", "packaged", "features.workers", "features.demux", "features.cache_files")
"""The modules that those of `features` may import; otherwise none imports another."""


def module(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def imports(file):
    """All imports of a file, inside functions too, as full names: `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, modules):
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_package_imports_only_what_it_may(file):
    package = module(file).split(".")[1]
    allowed = [f"personality.{name}" for name in [package, *ALLOWED[package]]]
    assert [name for name in imports(file) if within(name, ["personality"]) and not within(name, allowed)] == []


@pytest.mark.parametrize("file", sorted((ROOT / "personality/features").glob("*.py")), ids=module)
def test_a_module_of_features_imports_few_others_and_no_lightning(file):
    allowed = [f"personality.{name}" for name in SHARED]
    names = list(imports(file))
    assert [name for name in names if within(name, ["personality"]) and not within(name, allowed)] == []
    assert not any(within(name, ["pytorch_lightning", "lightning"]) for name in names)


@pytest.mark.parametrize("library", LIBRARIES)
def test_few_modules_import_a_library(library):
    users = [module(file) for file in FILES if any(within(name, [library]) for name in imports(file))]
    assert [name for name in users if not within(name, [f"personality.{each}" for each in LIBRARIES[library]])] == []


@pytest.mark.parametrize("file", FILES, ids=module)
def test_files_and_functions_are_short(file):
    text = file.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert len(text.splitlines()) < 350
    assert [each.name for each in functions if each.end_lineno - each.lineno >= 60] == []


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_no_private_words(file):
    assert PRIVATE_WORDS.findall(file.read_text()) == []
