"""What a picture shows where: maps are planted, and colours are read from the pixels."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from personality.explanation.panels import Panels, draw_sheet
from personality.explanation.pictures import Heatmap, draw_input, draw_map, draw_peak
from personality.traits import Axis, Coordinates

TIME, BANDS, HERTZ = np.arange(96) * 0.01 + 1, np.linspace(155, 7215, 64), np.linspace(0, 2000, 30605)
ROWS, COLUMNS = np.linspace(0.2, 0.6, 40), np.linspace(0.5, 0.9, 60)
PLACES = {
    "spectrogram": Coordinates(1.0, 1.96, (Axis("time", TIME), Axis("frequency", BANDS))),
    "spectrum": Coordinates(0.0, 15.3, (Axis("frequency", HERTZ),)),
    "face": Coordinates(3.0, 3.0, (Axis("height", ROWS), Axis("width", COLUMNS))),
}


def heatmap(kind, values=None, inputs=None, title="1  a.mp4", mask=None):
    space = tuple(len(axis.values) for axis in PLACES[kind].axes)
    if inputs is None:
        inputs = np.full((3, *space), 250, np.uint8) if kind == "face" else np.zeros((1, *space), np.float32)
    modality = "image" if kind == "face" else "audio"
    return Heatmap(title, modality, inputs, np.zeros(space) if values is None else values, 0.5, PLACES[kind], mask)


def spot(kind, coordinates, size, value, values=None):
    """A map with a patch about a coordinates, which is given as shares of the input's space."""
    space = tuple(len(axis.values) for axis in PLACES[kind].axes)
    values = np.zeros(space) if values is None else values
    values[
        tuple(slice(int((p - size) * n), int((p + size) * n) + 1) for p, n in zip(coordinates, space, strict=True))
    ] = value
    return values


def drawn(draw, *arguments):
    """Draw on axes that fill a picture; a function from a coordinates in it, right and up, to its colour in [0, 1]."""
    figure = Figure(figsize=(6, 6), dpi=100)
    canvas, axes = FigureCanvasAgg(figure), figure.add_axes((0, 0, 1, 1))
    draw(axes, *arguments)
    axes.set_aspect("auto")
    axes.set_axis_off()
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    return lambda right, up: pixels[round((1 - up) * 599), round(right * 599)]


def seen(kind, coordinates):
    """Where a coordinates in the input's space is in a picture, right and up."""
    if kind == "face":
        return coordinates[1], 1 - coordinates[0]
    return (coordinates[0], 0.5) if kind == "spectrum" else coordinates


@pytest.mark.parametrize("kind", PLACES)
def test_red_is_for_and_blue_against_where_the_map_says(kind):
    high, low, nothing = (0.15, 0.7), (0.6, 0.25), (0.9, 0.9)
    values = spot(kind, high[: len(PLACES[kind].axes)], 0.06, 0.3)
    values = spot(kind, low[: len(PLACES[kind].axes)], 0.06, -0.3, values)
    colour = drawn(draw_map, heatmap(kind, values), 0.3)
    red, _, blue = colour(*seen(kind, high))
    assert red > blue + 0.2
    red, _, blue = colour(*seen(kind, low))
    assert blue > red + 0.2
    assert np.ptp(colour(*seen(kind, nothing))) < 0.02


@pytest.mark.parametrize("kind", PLACES)
def test_colours_are_on_one_scale(kind):
    values = spot(kind, (0.5, 0.5)[: len(PLACES[kind].axes)], 0.1, 0.1)
    strong, weak = (drawn(draw_map, heatmap(kind, values), limit)(0.5, 0.5) for limit in (0.1, 10))
    assert np.ptp(strong) > 0.3
    assert np.ptp(weak) < 0.1


@pytest.mark.parametrize("kind", ["spectrogram", "face"])
def test_the_input_stands_as_it_should(kind):
    """A dark patch early and low is on the left and below; one at the top left of a face is there."""
    coordinates = (0.2, 0.3)
    dark = spot(kind, coordinates, 0.06, 1.0)[None]
    inputs = (255 * (1 - dark)).astype(np.uint8).repeat(3, 0) if kind == "face" else dark
    colour = drawn(draw_input, heatmap(kind, inputs=inputs))
    assert colour(*seen(kind, coordinates)).max() < 0.1
    right, up = seen(kind, coordinates)
    for other in [(1 - right, up), (right, 1 - up), (up, right)]:
        assert colour(*other).min() > 0.9


def test_a_line_of_a_spectrum_stands_at_its_frequency():
    inputs = np.full((1, 30605), 0.01, np.float32)
    inputs[0, 30605 // 4] = 1
    colour = drawn(draw_input, heatmap("spectrum", inputs=inputs))
    columns = np.arange(600) / 599
    dark = [column for column in columns if colour(column, 0.5).max() < 0.8]
    assert np.mean(dark) == pytest.approx(0.25, abs=0.005)
    assert len(dark) < 5


@pytest.mark.parametrize("kind", PLACES)
def test_the_peak_is_shown_and_the_rest_is_not(kind):
    coordinates = (0.2, 0.6)[: len(PLACES[kind].axes)]
    inputs = np.random.default_rng(0).integers(0, 255, (3, 40, 60), dtype=np.uint8) if kind == "face" else None
    colour = drawn(draw_peak, heatmap(kind, spot(kind, coordinates, 0.06, 1.0), inputs))
    right, up = seen(kind, coordinates)
    assert np.ptp(colour(right, up)) > 0.2
    assert colour(1 - right, up).min() > 0.98


@pytest.mark.parametrize("kind", ["spectrogram", "face"])
def test_a_line_goes_around_planted_evidence(kind):
    mask = spot(kind, (0.3, 0.6), 0.1, 1).astype(bool)
    colour = drawn(draw_map, heatmap(kind, mask=mask), 1.0)
    grid = np.linspace(0, 1, 200)
    dark = np.array([(right, up) for right in grid for up in grid if colour(right, up).max() < 0.6])
    right, up = seen(kind, (0.3, 0.6))
    np.testing.assert_allclose(dark.min(0), [right - 0.1, up - 0.1], atol=0.03)
    np.testing.assert_allclose(dark.max(0), [right + 0.1, up + 0.1], atol=0.03)


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("mask", [False, True])
def test_nothing_to_show_is_no_obstacle(tmp_path, kind, mask):
    """A map of zeros, a constant input, a mask that is nowhere or everywhere."""
    space = tuple(len(axis.values) for axis in PLACES[kind].axes)
    Panels().draw([tmp_path / "one.png"], [heatmap(kind, mask=np.full(space, mask))], 1e-12)
    assert imread(tmp_path / "one.png").shape == (288, 990, 3)


def test_a_waveform_stands_in_front_of_its_spectrum(tmp_path):
    loud = np.zeros((2, 765))
    loud[:, 300:400] = [[-1], [1]]
    Panels().draw([tmp_path / "one.png"], [heatmap("spectrum")._replace(waveform=loud)], 1.0)
    Panels().draw([tmp_path / "other.png"], [heatmap("spectrum")._replace(waveform=loud * 0)], 1.0)
    one, other = (imread(tmp_path / f"{name}.png") for name in ("one", "other"))
    columns = np.flatnonzero((one != other).any((0, 2)))
    assert (columns.max() - columns.min()) / 990 < 0.05
    assert columns.mean() < 990 / 4


@pytest.mark.parametrize("kind", PLACES)
def test_a_picture_is_the_same_alone_and_after_others(tmp_path, kind):
    """They share their axes: nothing of one may be left in the next."""
    loud = np.tile([[-1.0], [1.0]], 765) if kind == "spectrum" else None
    space = tuple(len(axis.values) for axis in PLACES[kind].axes)
    mask = np.zeros(space, bool)
    mask[tuple(slice(0, size // 2) for size in space)] = True
    others = [
        heatmap(kind, spot(kind, (0.5,) * len(space), 0.1, 2.0), mask=mask, title="another")._replace(waveform=loud)
    ] * 2
    last = heatmap(kind, title="the last", mask=mask)._replace(waveform=loud)
    if kind == "spectrogram":  # it lies elsewhere in its clip
        later = last.coordinates.axes[0]._replace(values=TIME + 9)
        last = last._replace(coordinates=Coordinates(10.0, 10.96, (later, last.coordinates.axes[1])))
    panels = Panels()
    panels.draw([tmp_path / "0.png", tmp_path / "1.png"], others, 2.0)
    panels.draw([tmp_path / "before.png", tmp_path / "after.png"], [others[0], last], 1.0)
    Panels().draw([tmp_path / "alone.png"], [last], 1.0)
    assert (imread(tmp_path / "after.png") == imread(tmp_path / "alone.png")).all()
    assert (imread(tmp_path / "after.png") != imread(tmp_path / "0.png")).any()


@pytest.mark.parametrize("count", [1, 4, 6, 20])
def test_a_sheet_has_rows_of_five(tmp_path, count):
    values = spot("face", (0.5, 0.5), 0.2, 1.0)
    draw_sheet(tmp_path / "sheet.png", "openness", [heatmap("face", values)] * count, 2.0)
    picture = imread(tmp_path / "sheet.png")
    height, width, _ = picture.shape
    assert width == 1430
    assert height == pytest.approx(110 * (0.7 + 2.35 * -(-count // 5)), abs=1)
    red = picture[..., 0] - picture[..., 2] > 0.25
    lines = red[:, : int(0.92 * width)].any(0)
    blocks = np.count_nonzero(np.diff(lines.astype(int)) == 1)
    assert blocks == min(count, 5)


@pytest.mark.parametrize("name", ["a_b^c.mp4", r"$\frac{$.mp4", "$x$ and $y$.mp4", "schön 映画 🎬.mp4", "%s{}\\.mp4"])
def test_names_are_shown_as_they_are(tmp_path, name):
    heatmaps = [heatmap("face", title=f"1  {name}\nat 3.00 s")]
    Panels().draw([tmp_path / "one.png"], [heatmaps[0]], 1.0)
    draw_sheet(tmp_path / "sheet.png", name, heatmaps, 1.0)
    assert imread(tmp_path / "sheet.png").shape[1] == 1430
