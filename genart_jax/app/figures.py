"""Figures of runs for papers and screens: one for each kind of quantity and scale.

A line (a run, or seeds of one) has the same colour in every figure. The colours are those of Okabe and Ito (2008),
which people with any kind of colour blindness tell apart. A panel is as wide as a paper's column, its letters 8 points
high.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image
from scipy import stats

from genart_jax.app.histories import History, Line, aligned, comparable, contract_line, names_of
from genart_jax.config import UserError
from genart_jax.evaluate import meaning
from genart_jax.evaluate.scores import Score
from genart_jax.runtime.values import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_ON_A_PAGE = 12  # panels in two columns
COLUMN = 3.4  # inches: a column of a paper in two columns
_MANY = 150  # rows of a log, above which a running mean is drawn over them
_GRIDS = 5
_UNITS = (
    ("images_per_second", "images/s"),
    ("bits_per", "bits"),
    ("psnr", "dB"),
    ("accuracy", "share of pictures"),
    ("diversity", "of real pictures'"),
    ("_score", "before a sigmoid"),
    ("norm", "L2"),
)
"""Parts of a figure's name, and the unit of its values."""
_BETTER = {"accuracy": "higher", "balanced_accuracy": "higher", "psnr": "higher", "elbo": "higher", "ssim": "higher",
           "bits_per_dim": "lower", "bits_per_code": "lower", "mse": "lower"}  # fmt: skip
"""Directions of test figures; a GAN's losses and its critic's accuracy have none."""
_ARROWS = {
    "lower": "↓ lower is better",
    "higher": "↑ higher is better",
    "real": "best at that of real pictures",
    "": "",
}


class Drawn(NamedTuple):
    """A figure, what it is called, and the sentence that belongs below it."""

    name: str
    figure: Figure
    caption: str

    @property
    def of_samples(self) -> bool:
        """Whether it is of pictures, which keep their pixels."""
        return self.name.startswith("samples")


def colour(index: int, count: int) -> str | tuple[float, ...]:
    """Of the line of that number among so many: of more than there are colours, one of a scale."""
    if count <= len(COLOURS):
        return COLOURS[index]
    import matplotlib as mpl

    return tuple(mpl.colormaps["viridis"](0.9 * index / (count - 1)))


def kinds(names: Sequence[str]) -> dict[str, list[str]]:
    """Kind -> figures of training that are drawn together, as their values are of one kind and scale."""
    out: dict[str, list[str]] = {kind: [] for kind in ("losses", "critic_scores", "shares", "others", "norms", "speed")}
    for name in names:
        if name.startswith(("test/", "held_out/")):
            continue
        if name == "images_per_second":
            out["speed"].append(name)
        elif "norm" in name:
            out["norms"].append(name)
        elif "loss" in name:
            out["losses"].append(name)
        elif name.endswith("_score"):
            out["critic_scores"].append(name)
        else:
            out["shares" if "accuracy" in name or name in ("diversity", "spread", "variety") else "others"].append(name)
    return {kind: found for kind, found in out.items() if found}


STYLE: Any = {
    "font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.2,
    "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "genart", "pdf.fonttype": 42,
}  # fmt: skip
"""Settings of matplotlib, for drawing and for saving: letters stay letters in SVG and PDF."""


def draw(lines: Sequence[Line]) -> list[Drawn]:
    """All figures that the runs have something for; see `histories.lines_of`.

    Raises:
      UserError: matplotlib is missing.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UserError('plots need matplotlib: pip install "genart_jax[plots]"') from error
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        out = [_curves(kind, names, lines) for kind, names in kinds(names_of(lines)).items()]
        return [*out, *_test_figures(lines), *_score_figures(lines), *_samples(lines)]


def write_caption(drawn: Drawn) -> None:
    """Writes a figure's caption below it; the figure grows by as much."""
    width, height = drawn.figure.get_size_inches()
    text = "\n".join(textwrap.wrap(drawn.caption, int(width * 19)))
    if drawn.of_samples:
        drawn.figure.text(0.0, -0.02, text, fontsize=7, color="#444444", va="top", ha="left")
        return
    room = 0.14 * (text.count("\n") + 1) + 0.1
    share = room / (height + room)
    drawn.figure.set_size_inches(width, height + room)
    engine: Any = drawn.figure.get_layout_engine()
    engine.set(rect=(0.0, share, 1.0, 1.0 - share))
    drawn.figure.text(0.01, (room - 0.05) / (height + room), text, fontsize=7, color="#444444", va="top")


def _short(label: str, most: int = 44) -> str:
    """A run's path as far as a legend has room for it: its end, which tells runs apart."""
    return label if len(label) <= most else "…" + label[-most + 1 :]


def _titled(name: str, better: str) -> str:
    return f"{name}   {_ARROWS[better]}" if better else name


def _unit(name: str) -> str:
    return next((unit for part, unit in _UNITS if part in name), "")


def _axis(name: str) -> str:
    """An axis's label: the figure's name and its unit."""
    unit = _unit(name)
    return f"{name} ({unit})" if unit else name


def _panels(count: int, lines: Sequence[Line], height: float = 2.3) -> tuple[Figure, list[Axes]]:
    """So many panels, two in a row (of many four), under one legend where there are several lines."""
    from matplotlib.figure import Figure

    columns = min(2, count) if count <= _ON_A_PAGE else 4
    rows = -(-count // columns)
    entries = len(lines) if len(lines) > 1 else 0
    in_a_row = 1 if columns == 1 or max(len(_short(line.label)) for line in lines) > 30 else 2
    room = 0.18 * -(-entries // in_a_row)
    figure = Figure(figsize=(COLUMN * columns, height * rows + room), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for empty in axes[count:]:
        empty.set_axis_off()
    if entries:
        for i, line in enumerate(lines):
            axes[0].plot([], [], color=colour(i, len(lines)), label=_short(line.label))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=in_a_row)
    return figure, axes[:count]


def _curves(kind: str, names: Sequence[str], lines: Sequence[Line]) -> Drawn:
    """A panel for each figure of training, over steps."""
    figure, axes = _panels(len(names), lines)
    held_out = smooth = False
    for ax, name in zip(axes, names, strict=True):
        for i, line in enumerate(lines):
            shade = colour(i, len(lines))
            smooth |= _draw_line(ax, line, name, shade, "-")
            if any(f"held_out/{name}" in row for history in line.members for row in history.rows):
                held_out = True
                _draw_line(ax, line, f"held_out/{name}", shade, ":")
        if kind == "norms" and _decades(ax):
            ax.set_yscale("log")
        _over_step(ax, _axis(name))
    parts = [_conditions(lines), "Each value is the mean since the one before."]
    parts += ["Pale: as logged; full: a running mean."] if smooth else []
    parts += ["Dotted: held-out pictures."] if held_out else []
    return Drawn(kind, figure, " ".join([*parts, _bands(lines)]).strip())


def _decades(ax: Axes) -> bool:
    """Whether what is drawn reaches over a factor of ten."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    return bool(drawn.size) and bool(drawn.max() > 10 * drawn.min())


def _over_step(ax: Axes, label: str) -> None:
    """Labels of a panel over steps, with ticks that leave one another room."""
    ax.set(xlabel="step", ylabel=label)
    from matplotlib import ticker

    ax.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _draw_line(ax: Axes, line: Line, name: str, shade: str | tuple[float, ...], dash: str) -> bool:
    """One run, or the mean of members with all of them behind it; returns whether a running mean was drawn."""
    steps, values = aligned(line, name)
    if not values.size:
        return False
    many = len(steps) > _MANY
    marker = "." if len(steps) < 20 else ""
    if len(values) > 1:
        with np.errstate(invalid="ignore"):
            ax.fill_between(steps, np.nanmin(values, 0), np.nanmax(values, 0), color=shade, alpha=0.15, linewidth=0)
        for own in values:
            ax.plot(steps, own, color=shade, linewidth=0.4, alpha=0.6)
    elif many:
        ax.plot(steps, values[0], color=shade, linewidth=0.4, alpha=0.4)
    mean = values.mean(0)
    ax.plot(steps, _running(mean) if many else mean, color=shade, linestyle=dash, marker=marker)
    return many


def _running(values: Array) -> Array:
    """A running mean over a fiftieth of the values, of those that there are near the ends."""
    reach = max(1, len(values) // 100)
    kernel = np.ones(2 * reach + 1)
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0.0), kernel, mode="same")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, total / np.convolve(known.astype(float), kernel, mode="same"), np.nan))


def _conditions(lines: Sequence[Line]) -> str:
    """What was trained, each kind once."""
    return "; ".join(dict.fromkeys(history.conditions for line in lines for history in line.members)) + "."


def _bands(lines: Sequence[Line]) -> str:
    most = max(len(line.members) for line in lines)
    return f"Bands reach over all seeds (up to {most}), each of which is a thin line." if most > 1 else ""


def interval(values: Array) -> tuple[float, float]:
    """The mean of values (n,), and how far its 95 % interval reaches to either side by Student's t; 0 of one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, 0.0
    return mean, float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def _rows(ax: Axes, points: Sequence[tuple[str, Array, float, float, str | tuple[float, ...]]], label: str) -> None:
    """A row for each line: its members, the mean and its interval, and the mean's value at the right."""
    from matplotlib import ticker

    for place, (_, own, mean, reach, shade) in enumerate(points):
        if len(own) > 1:
            ax.plot(own, [place] * len(own), ".", color=shade, alpha=0.5, markersize=4)
        ax.errorbar(mean, place, xerr=reach or None, color=shade, marker="o", markersize=4, capsize=2)
        ax.annotate(f"{mean:.4g}", (1.0, place), xycoords=("axes fraction", "data"), va="center", ha="left")
    ax.set_yticks(range(len(points)), [_short(text, 24) for text, *_ in points] if len(points) > 1 else [""])
    ax.tick_params(left=len(points) > 1)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(4))
    ax.set_ylim(len(points) - 0.5, -0.5)
    ax.margins(x=0.15)
    ax.set_xlabel(label)


def _test_figures(lines: Sequence[Line]) -> list[Drawn]:
    """The newest figures of the test split: a point a line, with an interval over its seeds."""
    names = [name for name in names_of(lines) if name.startswith("test/")]
    if not names:
        return []
    figure, axes = _panels(len(names), [lines[0]], 0.8 + 0.2 * len(lines))
    for ax, name in zip(axes, names, strict=True):
        points = []
        for i, line in enumerate(lines):
            own = np.array([values[-1] for _, values in (h.curve(name) for h in line.members) if len(values)])
            own = own[np.isfinite(own)]
            if len(own):
                points.append((line.label, own, *interval(own), colour(i, len(lines))))
        _rows(ax, points, _axis(name.removeprefix("test/")))
        ax.set_title(_titled("", _BETTER.get(name.removeprefix("test/"), "")).strip(), loc="left")
    several = max(len(line.members) for line in lines) > 1
    text = "Bars: 95 % intervals over seeds, which are small dots." if several else "One seed each, so no intervals."
    return [Drawn("test", figure, f"Test split. {_conditions(lines)} {text}")]


def _score_figures(lines: Sequence[Line]) -> list[Drawn]:
    """Scores with 95 % intervals and their floors; and over steps, where there are several."""
    histories = [history for line in lines for history in line.members]
    scored = {name: dict(zip(map(id, histories), runs, strict=True)) for name, runs in comparable(histories).items()}
    if not scored:
        return []
    shown = [line for line in lines if any(h.scores for h in line.members)]
    figure, axes = _panels(len(scored), [lines[0]], 0.8 + 0.2 * len(shown))
    for ax, (name, found) in zip(axes, scored.items(), strict=True):
        points, floors = [], []
        for line in shown:
            newest = [found[id(h)][-1] for h in line.members if found[id(h)]]
            if newest:
                floors += [s.details["floor"] for s in newest if isinstance(s.details.get("floor"), int | float)]
                points.append((line.label, *_of_scores(newest), colour(list(lines).index(line), len(lines))))
        if floors:
            ax.axvline(float(np.mean(floors)), color="#888888", linestyle="--", linewidth=0.8)
        _rows(ax, points, name)
        ax.set_title(_titled("", meaning.better(name)).strip(), loc="left")
    newest = [runs[-1] for found in scored.values() for runs in found.values() if runs]
    text = f"{_conditions(shown)} {contract_line(newest[0])}. Bars: 95 %; dashed: what real pictures have."
    return [Drawn("scores", figure, text), *_over_steps(lines, scored)]


def _of_scores(scores: Sequence[Score]) -> tuple[Array, float, float]:
    """Values, their mean and its reach: over seeds where there are several, else over pictures."""
    values = np.array([s.value for s in scores])
    mean, reach = interval(values)
    return values, mean, reach if len(values) > 1 else 1.96 * (scores[0].standard_error or 0.0)


def _over_steps(lines: Sequence[Line], scored: dict[str, dict[int, list[Score]]]) -> list[Drawn]:
    names = [name for name, found in scored.items() if max(map(len, found.values())) > 1]
    if not names:
        return []
    figure, axes = _panels(len(names), lines)
    for ax, name in zip(axes, names, strict=True):
        for i, line in enumerate(lines):
            for scores in (scored[name][id(history)] for history in line.members):
                errors = [1.96 * (s.standard_error or 0.0) for s in scores]
                steps, values = [s.model["step"] for s in scores], [s.value for s in scores]
                ax.errorbar(steps, values, errors, color=colour(i, len(lines)), marker="o", markersize=3, capsize=2)
        _over_step(ax, name)
        ax.set_title(_titled("", meaning.better(name)).strip(), loc="left")
    return [Drawn("scores_over_steps", figure, f"{_conditions(lines)} Bars: 95 %.")]


def _samples(lines: Sequence[Line]) -> list[Drawn]:
    """For each line the samples of its first member, evenly over its training, pixel by pixel."""
    out = []
    for i, line in enumerate(lines):
        history = line.members[0]
        if history.grids:
            name = "samples" if len(lines) == 1 else f"samples_{i}"
            figure, steps = _strip(history)
            text = f"{_short(line.label)}: {history.conditions}, seed {history.saved.run.train.seed}."
            out.append(Drawn(name, figure, f"{text} Samples of the same latents at steps {steps}."))
    return out


def _strip(history: History) -> tuple[Figure, str]:
    """Sample grids side by side, 100 pixels an inch, so that a picture of the figure has them at their own size."""
    from matplotlib.figure import Figure

    picked = np.unique(np.linspace(0, len(history.grids) - 1, _GRIDS).astype(int))
    chosen = [(history.grids[i][0], np.asarray(Image.open(history.grids[i][1]).convert("RGB"))) for i in picked]
    gap, head = 8, 18
    width = sum(picture.shape[1] + gap for _, picture in chosen)
    height = max(picture.shape[0] for _, picture in chosen) + head
    figure, left = Figure(figsize=(width / 100, height / 100), dpi=100), 0
    for step, picture in chosen:
        tall, wide = picture.shape[:2]
        place = left / width, (height - head - tall) / height, wide / width, tall / height
        ax = figure.add_axes(place)
        ax.set_axis_off()
        ax.imshow(picture, interpolation="none", aspect="auto")
        figure.text(left / width, 1 - 4 / height, f"step {step:,}", fontsize=8, va="top")
        left += wide + gap
    return figure, ", ".join(f"{step:,}" for step, _ in chosen)
