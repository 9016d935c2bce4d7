"""What `pipe doctor` found, as text, JSON or annotations of GitHub; and its mends as a diff that is asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from pipesmith.cli import output
from pipesmith.cli.options import FindingsFormat
from pipesmith.pipelines.errors import PipeError
from pipesmith.pipelines.names import counted

if TYPE_CHECKING:
    from pipesmith.pipelines.doctor import Finding, Report


def propose(report: Report, *, yes: bool, quiet: bool) -> None:
    """Show the safe mends as a diff, and make them if that is wanted.

    Raises:
        PipeError: nobody can be asked, and --yes is missing.
    """
    from pipesmith.pipelines.doctor import mend

    mended = mend(report.findings)
    for one in mended:
        (output.note if quiet else output.print_text)(one.diff(output.short_place(one.path)).rstrip("\n"))
    if not mended:
        return
    what = f"{counted(sum(one.mends for one in mended), 'mend')} in {counted(len(mended), 'file')}"
    if not yes and not (output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)):
        raise PipeError(f"Nothing was changed: nobody can be asked about {what}.", hint="--yes makes them.")
    if not yes and not typer.confirm(f"Make {what}?", err=True):
        return
    for one in mended:
        one.write()
    output.note(f"Made {what}.")


def print_findings(report: Report, format: FindingsFormat) -> None:
    """Print what was found."""
    if format is FindingsFormat.json:
        output.print_json(
            {
                "findings": [finding.report() for finding in report.findings],
                "files": report.files,
                "ignored": report.ignored,
                "links": report.links,
            }
        )
        return
    for finding in report.findings:
        if format is FindingsFormat.github:
            output.print_text(_annotation(finding))
        else:
            safe = " (--fix does it)" if finding.safe else ""
            output.print_text(f"{_place(finding)}: {finding.code} {finding.name}: {finding.why}")
            output.print_text(f"    {finding.mend}{safe}")
    if report.links:
        output.note(f"{counted(report.links, 'link')} not followed.")
    if report.ignored:
        output.note(f"{counted(report.ignored, 'finding')} ignored by comments.")
    mendable = sum(finding.safe for finding in report.findings)
    extra = f"; --fix mends {mendable}" if mendable else ""
    output.note(f"{counted(len(report.findings), 'finding')} in {counted(report.files, 'file')} read{extra}.")


def _place(finding: Finding) -> str:
    if finding.path is None:
        return "environment"
    cell = f":cell {finding.cell}" if finding.cell is not None else ""
    return f"{output.short_place(finding.path)}{cell}:{finding.line}:{finding.column}"


def _annotation(finding: Finding) -> str:
    """Return a finding as the command of GitHub's workflows that annotates a line."""
    properties = {"title": f"{finding.code} {finding.name}"}
    if finding.path is not None:
        properties = {"file": output.short_place(finding.path)} | properties
    if finding.path is not None and finding.cell is None:  # a line of a cell is no line of the file
        properties |= {"line": str(finding.line), "col": str(finding.column)}
    cell = f"Cell {finding.cell}, line {finding.line}: " if finding.cell is not None else ""
    message = f"{cell}{finding.why}\n{finding.mend}"
    given = ",".join(f"{name}={_escaped(text, ':,')}" for name, text in properties.items())
    return f"::error {given}::{_escaped(message)}"


def _escaped(text: str, characters: str = "") -> str:
    for character in f"%\r\n{characters}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
