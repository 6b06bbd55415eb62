"""Evaluate, compare, fuse and rescale predictions: `python -m personality.evaluation --help`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from personality.evaluation.calibration import calibration, rescale
from personality.evaluation.fairness import fairness, read_groups
from personality.evaluation.fusion import fuse, fuse_folds, learn_weights
from personality.evaluation.predictions import (
    Scale,
    is_evaluable,
    read_predictions,
    read_trait_labels,
    scored_targets,
    write_predictions,
)
from personality.evaluation.results import compare, evaluate, evaluate_folds
from personality.evaluation.text import calibration_text, fairness_text, remarks, results_text

MANUAL = """
python -m personality.evaluation A.csv                      metrics of the predictions and of the baselines
python -m personality.evaluation A.csv --groups people.csv  also by gender, ethnicity and age
python -m personality.evaluation compare A.csv B.csv        the paired difference of two models
python -m personality.evaluation plot A.csv B.csv -o C.png  scores against labels, and metrics with intervals
python -m personality.evaluation leaderboard A.csv B.csv ... -o DIR
                                                            one table of several models on the clips that all scored
python -m personality.evaluation fuse A.csv B.csv -o C.csv  average several models, or learn their weights (--learn)
python -m personality.evaluation fuse RUN_A RUN_B -o C.csv  the same for runs with folds; each fold has its weights
python -m personality.evaluation calibrate A.csv --validation V.csv -o C.csv
                                                            rescale scores to fit the labels of validation clips

Predictions are a csv file with a column clip (or VideoName, sample_id, ...) and a column for each trait (openness,
ValueOpenness, pred_O, ...), in any order, separated by commas, semicolons or tabs. Clip names may end in .mp4 or not.
Or they are a folder with a file for each trait: test_openness.csv, or test_O.csv, or test_0.csv to test_4.csv in the
order O C E A N, with the columns Prediction and GroundTruth. Files that do not name their clips have no intervals.

Labels are read from the columns openness_label, ..., or from a separate file (--labels): a csv, or an official pickle
such as annotation_validation.pkl. The baselines need the training labels: labels_train.csv beside the predictions, or
the file given by --train. Clips whose source (the clip's name without its number) is not in training are also
evaluated separately. Intervals are 95 %, from a bootstrap over sources.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, or 2 if the options or files are wrong."""
    if arguments and arguments[0] not in {*COMMANDS, "-h", "--help"}:
        arguments = ["evaluate", *arguments]
    options = parser().parse_args(arguments)
    try:
        COMMANDS[options.command](options)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """Define the commands and their options."""
    labels = argparse.ArgumentParser(add_help=False)
    labels.add_argument(
        "--scale", type=float, nargs=2, default=(0.0, 1.0), metavar=("LOW", "HIGH"),
        help="lowest and highest label there can be (default: 0 1)",
    )  # fmt: skip
    labels.add_argument("--labels", type=Path, metavar="FILE", help="labels of the predicted clips (csv or pickle)")
    train = argparse.ArgumentParser(add_help=False)
    train.add_argument("--train", type=Path, metavar="FILE", help="labels of the training clips (csv or pickle)")
    numbers = argparse.ArgumentParser(add_help=False)
    numbers.add_argument("--csv", type=Path, metavar="FILE", help="write all values with their intervals to this file")
    validation = argparse.ArgumentParser(add_help=False)
    validation.add_argument(
        "--validation-labels", type=Path, metavar="FILE", help="labels of the validation clips (csv or pickle)"
    )
    result = argparse.ArgumentParser(
        prog="python -m personality.evaluation", epilog=MANUAL, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="{" + ",".join(COMMANDS) + "}")

    command = commands.add_parser(
        "evaluate", parents=[labels, train, numbers], help="metrics of predictions (the default)"
    )
    command.add_argument("predictions", type=Path, metavar="A.csv")
    command.add_argument("--groups", type=Path, metavar="FILE", help="csv with clip or source, gender, ethnicity, age")
    command.add_argument("--count-missing", action="store_true", help="give missing clips the mean training label")

    command = commands.add_parser(
        "compare", parents=[labels, train, numbers], help="the paired difference of two models"
    )
    command.add_argument("predictions", type=Path, metavar="A.csv")
    command.add_argument("second", type=Path, metavar="B.csv")

    command = commands.add_parser(
        "plot", parents=[labels, train, numbers], help="draw scores against labels, and intervals"
    )
    command.add_argument("predictions", type=Path, nargs="+", metavar="A.csv")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="C.png")

    command = commands.add_parser("leaderboard", parents=[labels, train], help="one table of several models")
    command.add_argument("predictions", type=Path, nargs="+", metavar="A.csv")
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder for leaderboard.csv, .txt, .html, .png"
    )

    command = commands.add_parser("fuse", parents=[labels, validation], help="combine several models into one")
    command.add_argument("predictions", type=Path, nargs="+", metavar="A.csv")
    command.add_argument(
        "--learn", type=Path, nargs="+", metavar="VAL_A.csv", help="learn weights on these validation predictions"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="C.csv")

    command = commands.add_parser("calibrate", parents=[labels, validation], help="rescale scores on validation clips")
    command.add_argument("predictions", type=Path, metavar="A.csv")
    command.add_argument(
        "--validation", type=Path, required=True, metavar="VAL_A.csv", help="validation predictions of the same model"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="C.csv")
    return result


def _evaluate(options: argparse.Namespace) -> None:
    scale = _scale(options)
    predictions = _read_labelled(options.predictions, _read_labels(options.labels, scale), scale)
    train = _read_training_labels(options)
    results = evaluate(predictions, train, scale=scale, count_missing=options.count_missing)
    calibrated = calibration(predictions)
    print(results_text(results), calibration_text(calibrated), sep="\n\n")
    tables = [results, calibrated]
    if options.groups:
        tables.append(fairness(predictions, read_groups(options.groups), train, scale=scale))
        print("", fairness_text(tables[-1]), sep="\n")
    print("", *remarks(predictions, train, scale), sep="\n")
    if options.count_missing:
        print("In the first tables, a clip without a score counts with the mean training label.")
    _write(pd.concat(tables, ignore_index=True), options.csv)


def _compare(options: argparse.Namespace) -> None:
    scale = _scale(options)
    labels, train = _read_labels(options.labels, scale), _read_training_labels(options)
    first, second = (_read_labelled(path, labels, scale) for path in (options.predictions, options.second))
    results = compare(first, second, train, scale=scale)
    print(f"first   {options.predictions}\nsecond  {options.second}\n\n{results_text(results)}\n")
    for name, predictions in [("first", first), ("second", second)]:
        for remark in remarks(predictions, train, scale):
            print(f"{name}: {remark}")
    _write(results, options.csv)


def _plot(options: argparse.Namespace) -> None:
    from personality.evaluation.plots import draw_results  # the other commands start without Matplotlib

    train, scale, models = _read_training_labels(options), _scale(options), _read_models(options)
    draw_results(options.output, models, train, scale)
    print(f"Drew {len(models)} model{'s' * (len(models) > 1)}: {options.output}")
    if options.csv:
        results = [evaluate(table, train, scale=scale).assign(file=name) for name, table in models.items()]
        _write(pd.concat(results), options.csv)


def _leaderboard(options: argparse.Namespace) -> None:
    from personality.evaluation.result_files import write_leaderboard  # the other commands start without Matplotlib

    models, train = _read_models(options), _read_training_labels(options)
    print(write_leaderboard(options.output, models, train, _scale(options)))
    print(f"Wrote leaderboard.csv, .txt, .html and .png to {options.output}")


def _read_models(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Read predictions with labels from several files, by the shortest names that differ."""
    names, scale = _short_names(options.predictions), _scale(options)
    labels = _read_labels(options.labels, scale)
    return {name: _read_labelled(path, labels, scale) for name, path in zip(names, options.predictions, strict=True)}


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Name files by as few of their last folders as make the names differ, and by their suffixes only if needed."""
    parts = [path.absolute().with_suffix("").parts for path in paths]
    if len({*parts}) < len(parts):
        parts = [path.absolute().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"Got {', '.join(map(str, paths))}. Expected each file once; remove the repeated ones.")


def _fuse(options: argparse.Namespace) -> None:
    scale = _scale(options)
    if all((path / "fold_0").is_dir() for path in options.predictions):
        folds = fuse_folds(options.predictions)
        print(results_text(evaluate_folds(folds, scale=scale)))
        _write_predictions(options.output, pd.concat([predictions for predictions, _ in folds]).sort_index())
        return
    weights = None
    if options.learn:
        if len(options.learn) != len(options.predictions):
            raise ValueError(
                f"Got {len(options.learn)} validation files for {len(options.predictions)} files to fuse. Expected one "
                "for each, of the same models in the same order; add the missing ones after --learn."
            )
        given = _read_labels(options.validation_labels, scale), scale, "--validation-labels"
        validation = [_read_labelled(path, *given) for path in options.learn]
        learnt = learn_weights(validation)
        print(
            "Weights learnt on validation:",
            learnt.set_axis([*options.predictions, "constant"]).round(4).to_string(),
            sep="\n",
        )
        weights = learnt.to_numpy()
    labels = _read_labels(options.labels, scale)
    tables = [read_predictions(path, labels, scale) for path in options.predictions]
    _write_predictions(options.output, fuse(tables, weights))


def _calibrate(options: argparse.Namespace) -> None:
    scale = _scale(options)
    given = _read_labels(options.validation_labels, scale), scale, "--validation-labels"
    validation = _read_labelled(options.validation, *given)
    print(calibration_text(calibration(validation)))
    predictions = read_predictions(options.predictions, _read_labels(options.labels, scale), scale)
    _write_predictions(options.output, rescale(predictions, validation))


def _scale(options: argparse.Namespace) -> Scale:
    low, high = options.scale
    if low >= high:
        raise ValueError(f"Got --scale {low:g} {high:g}. Expected the lowest label, then the highest.")
    return low, high


def _read_labels(path: Path | None, scale: Scale) -> pd.DataFrame | None:
    return read_trait_labels(path, scale) if path else None


def _read_labelled(path: Path, labels: pd.DataFrame | None, scale: Scale, option: str = "--labels") -> pd.DataFrame:
    """Read predictions with labels; raise with the name of the file if it has none."""
    predictions = read_predictions(path, labels, scale)
    try:
        is_evaluable(predictions)
    except ValueError as error:
        raise ValueError(f"{path}: {error} To read labels from a separate file, add {option} FILE.") from error
    return predictions


def _read_training_labels(options: argparse.Namespace) -> pd.DataFrame | None:
    """Read the training labels given by --train, or `labels_train.csv` beside the predictions."""
    first = options.predictions[0] if isinstance(options.predictions, list) else options.predictions
    beside = first.absolute().with_name("labels_train.csv")
    return _read_labels(options.train or (beside if beside.is_file() else None), _scale(options))


def _write(results: pd.DataFrame, path: Path | None) -> None:
    if path:
        results.to_csv(path, index=False, float_format="%.7g")
        print(f"Wrote all values with their intervals to {path}")


def _write_predictions(path: Path, predictions: pd.DataFrame) -> None:
    write_predictions(path, predictions)
    print(f"Wrote {predictions[scored_targets(predictions)[0]].notna().sum():,} scored clips to {path}")


COMMANDS = {
    "evaluate": _evaluate,
    "compare": _compare,
    "plot": _plot,
    "leaderboard": _leaderboard,
    "fuse": _fuse,
    "calibrate": _calibrate,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
