"""A table of figures: as text for a terminal, or as GitHub's markdown."""

from __future__ import annotations

from attrs import frozen

__all__ = ["NOTHING", "Table", "figures", "spaced"]

# In place of a missing figure.
NOTHING = "-"


@frozen
class Table:
    """Lines of cells below headings; the first column names the line.

    `numeric` says whether the other columns are aligned to the right.
    """

    title: str
    headings: list[str]
    lines: list[list[str]]
    remark: str = ""
    numeric: bool = True

    def as_text(self) -> str:
        """Return the table as columns of text."""
        columns = list(zip(self.headings, *self.lines, strict=True))
        widths = [max(map(len, column)) for column in columns]
        rows = [self.headings, ["-" * width for width in widths], *self.lines]
        remark = [self.remark] if self.remark else []
        return "\n".join([self.title, "", *(self._aligned(row, widths) for row in rows), *remark])

    def _aligned(self, cells: list[str], widths: list[int]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1])]
        padded += [
            cell.rjust(width) if self.numeric else cell.ljust(width) for cell, width in others
        ]
        return "  ".join(padded).rstrip()

    def as_markdown(self) -> str:
        """Return the table in GitHub's markdown."""
        rule = "---:" if self.numeric else "---"
        rows = [self.headings, ["---", *[rule] * (len(self.headings) - 1)], *self.lines]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        remark = ["", self.remark] if self.remark else []
        return "\n".join([f"### {self.title}", "", *lines, *remark])


def figures(value: float) -> str:
    """Format a value with three significant figures, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    decimals = 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{decimals}f}"


def spaced(number: int) -> str:
    """Format a number with spaces between thousands."""
    return f"{number:,}".replace(",", " ")
