"""`--top-k 2` to the typed parameters of the task at hand, near misses, and its `--help`.

A command made with `TaskCommand` takes the flags of the task that is its first argument, anywhere after it. They are
read from source: nothing of the task is executed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from pipesmith.cli import output, quiet
from pipesmith.cli.options import SECTIONS
from pipesmith.pipelines.errors import ParameterError, PipeError

if TYPE_CHECKING:  # imported where a task is read: `pipe --help` needs none of it
    from pipesmith.pipelines.project import Project
    from pipesmith.pipelines.signature import Parameter, Signature
    from pipesmith.pipelines.targets import LoadOptions, Target

_META = "pipesmith.task"
_PREFIX = "--param."
_HELP = ("--help", "-h")


@dataclass(frozen=True)
class TaskRequest:
    """The task that a command line names.

    Args:
        name: the task as it was typed.
        target: its entry and model.
        project: the project around the working directory.
        signature: its parameters; None if the class is decided at run time, or given as a class.
        values: the parameters that flags have set.
    """

    name: str
    target: Target
    project: Project | None
    signature: Signature | None
    values: Mapping[str, Any] = field(default_factory=dict)


def task_request(ctx: typer.Context) -> TaskRequest:
    """Return what a `TaskCommand` has parsed."""
    request = ctx.meta[_META]
    assert isinstance(request, TaskRequest)
    return request


def request_task(name: str, options: LoadOptions, *, to_run: bool = False) -> TaskRequest:
    """Find a task and read its parameters; see `targets.resolve` for what happens only `to_run` it."""
    from pipesmith.pipelines.project import find_project
    from pipesmith.pipelines.signature import read_signature
    from pipesmith.pipelines.source import ClassReference
    from pipesmith.pipelines.targets import resolve

    project = find_project()
    with output.results_stream():
        target = resolve(name, options, project, to_run=to_run)
    reference = target.entry.pipeline_class
    if isinstance(reference, ClassReference) and reference.file is not None:
        return TaskRequest(name, target, project, read_signature(reference))
    return TaskRequest(name, target, project, None)


class TaskCommand(TyperCommand):
    """A command whose first argument is a task, and which takes that task's flags."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the task's flags out of the arguments, and leave the rest to Typer."""
        line = _CommandLine(args, _general_flags(self, ctx))
        if ctx.resilient_parsing:
            with suppress(PipeError):  # TAB is no place for an error
                ctx.meta[_META] = request_task(line.task, line.load_options()) if line.task else None
            return super().parse_args(ctx, line.known_only())
        if line.unknown_before_task and not line.mentions_help:
            raise _unknown_flag(line.unknown_before_task, line.general, request=None)
        if line.task is None or line.unknown_before_task:
            return super().parse_args(ctx, ["--help"] if line.mentions_help else args)
        if not {"--verbose", "-v"} & set(args):
            quiet.before_imports(tensorflow=line.value("--framework") == "tf")
        request = request_task(line.task, line.load_options(), to_run=not line.mentions_help)
        parsed = line.parse(flags_of(request.signature, line.general), request)
        if parsed is None:
            ctx.meta[_META] = request
            return super().parse_args(ctx, ["--help"])
        args, values = parsed
        if line.mentions_help:  # as a flag's value or an input, it turns out
            request = request_task(line.task, line.load_options(), to_run=True)
        ctx.meta[_META] = replace(request, values=values)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the task's parameters first, then the general options."""
        request = ctx.meta.get(_META)
        if request is None:
            super().format_help(ctx, formatter)
            return
        typed = any(param.name == "inputs" for param in self.params)
        formatter.write_usage(
            f"{ctx.command_path} {request.name}", f"[FLAGS] {'[INPUTS]...' if typed else '--input FILE'}"
        )
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"Example: {ctx.command_path} {_example(request, typed=typed)}")
        _write_task(formatter, request, _general_flags(self, ctx))
        super().format_options(ctx, formatter)
        self.format_epilog(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the general options in sections."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in [*SECTIONS, "Options"]}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and param.param_type_name == "option":
                sections[getattr(param, "rich_help_panel", None) or "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Offer the task's flags beside the general ones."""
        items = super().shell_complete(ctx, incomplete)
        request = ctx.meta.get(_META)
        if request is not None and incomplete.startswith("-"):
            from typer.core import CompletionItem  # type: ignore[attr-defined]

            for flag, (parameter, _) in flags_of(request.signature, _general_flags(self, ctx)).items():
                if flag.startswith(incomplete) and "_" not in flag:  # --top_k works, and --top-k is how it is written
                    items.append(CompletionItem(flag, help=parameter.doc))
        return items


def _general_flags(command: TyperCommand, ctx: Any) -> dict[str, bool]:
    """Return the command's own flags, and whether each takes a value."""
    flags: dict[str, bool] = {}
    for param in command.get_params(ctx):
        if param.param_type_name == "option":
            takes_value = not getattr(param, "is_flag", False) and not getattr(param, "count", False)
            flags.update(dict.fromkeys([*param.opts, *param.secondary_opts], takes_value))
    return flags


def run_flags(ctx: typer.Context) -> set[str]:
    """Return the general flags of `pipe run`, which a task's own cannot have; `ctx` is that of any command."""
    root: Any = ctx.find_root()
    run = root.command.get_command(root, "run")
    return {flag for param in run.params for flag in [*param.opts, *param.secondary_opts]}


def flags_of(signature: Signature | None, general: Iterable[str]) -> dict[str, tuple[Parameter, bool]]:
    """Return a task's flags: the parameter of each, and the value that a flag without one stands for.

    A parameter named like a general option has only its long form, `--param.NAME`; every parameter has that.
    """
    flags: dict[str, tuple[Parameter, bool]] = {}
    for parameter in signature.parameters if signature else ():
        for name in _spellings(parameter, general):
            flags[name] = (parameter, True)
        flags[_PREFIX + parameter.name] = (parameter, True)
        if "bool" in parameter.type.kinds:
            negative = f"--no-{_kebab(parameter.name)}"
            if negative not in general and negative not in flags:
                flags[negative] = (parameter, False)
    return flags


def _kebab(name: str) -> str:
    return name.strip("_").replace("_", "-")


def _spellings(parameter: Parameter, general: Iterable[str]) -> list[str]:
    """Return the spellings of a flag that are free: `--top-k`, and `--top_k` as Python says it."""
    taken = set(general)
    names = dict.fromkeys([f"--{_kebab(parameter.name)}", f"--{parameter.name}"])
    return [name for name in names if name not in taken]


class _CommandLine:
    """The arguments of one command line, walked with the general flags at hand."""

    def __init__(self, args: Sequence[str], general: Mapping[str, bool]) -> None:
        self.args = list(args)
        self.general = general
        self.mentions_help = any(token in _HELP for token in self.args)
        self.task: str | None = None
        self.unknown_before_task: str | None = None
        self._values: dict[str, str] = {}
        self._find_task()

    def value(self, flag: str) -> str | None:
        """Return the value of a general flag, None if it was not given."""
        return self._values.get(flag)

    def load_options(self) -> LoadOptions:
        """Return the options that decide what the task's name means."""
        from pipesmith.pipelines.hub import HubAccess
        from pipesmith.pipelines.targets import LoadOptions

        token = self.value("--token")
        output.hide(token and token.strip())
        return LoadOptions(
            task=self.value("--task"),
            pt_model=self.value("--pt-model"),
            revision=self.value("--revision"),
            access=HubAccess(token, "--offline" in self.args),
            trust_project="--trust-project" in self.args,
            ask=output.asker(),
            notify=output.note,
        )

    def _find_task(self) -> None:
        tokens = iter(self.args)
        for token in tokens:
            if token == "--":
                self.task = self.task or next(tokens, None)
                return
            name, has_value, value = token.partition("=")
            if not _looks_like_flag(token):
                self.task = self.task or token
            elif self.general.get(name):
                self._values[name] = value if has_value else next(tokens, "")
            elif name not in self.general and self.task is None:
                self.unknown_before_task = self.unknown_before_task or token

    def known_only(self) -> list[str]:
        """Return the arguments without the flags that Typer does not know, for completion."""
        return [token for token in self.args if not _looks_like_flag(token) or token.partition("=")[0] in self.general]

    def parse(
        self, flags: Mapping[str, tuple[Parameter, bool]], request: TaskRequest
    ) -> tuple[list[str], dict[str, Any]] | None:
        """Split the arguments into those for Typer and the task's parameters; None if help is asked for.

        Raises:
            ParameterError: a flag is unknown, lacks its value, or its value has the wrong type.
        """
        options: list[str] = []
        positional: list[str] = []
        texts: dict[str, list[str | bool]] = {}
        spelled: dict[str, str] = {}
        tokens = iter(self.args)
        for token in tokens:
            name, has_value, value = token.partition("=")
            if token == "--":
                positional += tokens
            elif not _looks_like_flag(token):
                positional.append(token)
            elif token in _HELP:
                return None
            elif name in self.general:
                options.append(token)
                if self.general[name] and not has_value:
                    options.append(_following(name, tokens))
            elif name in flags:
                parameter, meaning = flags[name]
                spelled[parameter.name] = name
                texts.setdefault(parameter.name, []).append(
                    _flag_value(name, parameter, meaning, value if has_value else None, tokens)
                )
            else:
                known = [flag for flag in [*flags, *self.general] if not flag.startswith(_PREFIX)]
                raise _unknown_flag(token, known, request)
        parameters = {parameter.name: parameter for parameter, _ in flags.values()}
        values = {name: _parse(parameters[name], spelled[name], given) for name, given in texts.items()}
        return [*options, "--", *positional], values


def _looks_like_flag(token: str) -> bool:
    """Tell a flag from an input: "-" is stdin, "-3.5 degrees" and "- item" are text."""
    name = token.partition("=")[0]
    return len(name) > 1 and name[0] == "-" and not name[1].isdigit() and not any(map(str.isspace, name))


def _flag_value(flag: str, parameter: Parameter, meaning: bool, value: str | None, tokens: Iterator[str]) -> str | bool:
    """Return the text after a flag; a flag that may be true or false takes none unless it is written with "="."""
    if value is not None and not meaning:
        raise ParameterError(f"{flag} takes no value.", hint=f"Write {flag} alone, or {flag.replace('--no-', '--')}.")
    if value is not None:
        return value
    if "bool" in parameter.type.kinds:
        return meaning
    return _following(flag, tokens, f": {parameter.type}")


def _following(flag: str, tokens: Iterator[str], wanted: str = "") -> str:
    following = next(tokens, None)
    if following is None:
        raise ParameterError(f"{flag} needs a value{wanted}.", hint=f"For example {flag}=VALUE.")
    return following


def _parse(parameter: Parameter, flag: str, given: Sequence[str | bool]) -> Any:
    """Turn the texts of one flag into its parameter's value.

    Raises:
        ParameterError: names the flag, the value and the type wanted.
    """
    if len(given) > 1 and not parameter.type.is_list and any(isinstance(text, str) for text in given):
        raise ParameterError(
            f"{flag} is given {len(given)} times, and takes one value: {parameter.type}.", hint="Give it once."
        )
    if isinstance(given[-1], bool):
        return given[-1]
    texts = [text for text in given if isinstance(text, str)]
    try:
        return parameter.type.parse_many(texts)
    except ValueError as error:
        shown = ", ".join(repr(text) for text in texts)
        raise ParameterError(
            f"{flag}: {shown} is not {error}.", hint=parameter.doc or f"Give {flag} {error}."
        ) from error


def _unknown_flag(token: str, known: Iterable[str], request: TaskRequest | None) -> ParameterError:
    from pipesmith.pipelines.names import near_miss

    name = token.partition("=")[0]
    if request is None:
        return ParameterError(
            f"{name} stands before the task, or is no option.",
            hint=f"Write the task first: pipe run TASK {name} ...",
        )
    argument = name.strip("-").replace("-", "_")
    if request.signature and argument in {one.name for one in request.signature.init_parameters}:
        return ParameterError(
            f"{request.target.entry.task} has no flag {name}: it is an argument of its __init__.",
            hint=f"Give it with --init {argument}=JSON.",
        )
    return ParameterError(
        f"{request.target.entry.task} has no flag {name}.",
        hint=near_miss(name, known)
        or f"`pipe run {request.name} --help` lists them; --set {argument}=JSON passes what"
        " no signature shows; -- ends the flags.",
    )


def parse_settings(settings: Sequence[str], option: str) -> dict[str, Any]:
    """Read `key=json` pairs.

    Args:
        settings: as given.
        option: the option they were given to, for messages.

    Raises:
        ParameterError: a pair without "=", or a value that is not JSON.
    """
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ParameterError(f"{option}: {setting!r} is not KEY=JSON.", hint=f"For example {option} top_k=2.")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ParameterError(
                f"{option} {key}: {text!r} is not JSON ({error.msg} at column {error.colno}).",
                hint=f"Text stands in quotes: {option} '{key}=\"{text}\"'.",
            ) from error
    return values


def merge(flags: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put what flags and --set give together.

    Raises:
        ParameterError: a parameter is given both ways.
    """
    for key in flags.keys() & settings.keys():
        raise ParameterError(f"{key} is given twice: by its flag, and by --set.", hint="Leave one of them out.")
    return {**flags, **settings}


def parse_object(text: str | None, option: str) -> dict[str, Any]:
    """Read an option that takes a JSON object; {} for None.

    Raises:
        ParameterError: the text is not a JSON object.
    """
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(f"{option}: {text!r} is not JSON ({error.msg} at column {error.colno}).") from error
    if not isinstance(value, dict):
        raise ParameterError(f"{option} takes a JSON object, not {text!r}.", hint=f"For example {option} '{{}}'.")
    return value


_EXAMPLES = {"text": '"some text"', "image": "photo.png", "audio": "speech.wav", "video": "clip.mp4"}


def _example(request: TaskRequest, *, typed: bool) -> str:
    """Return a command that can be pasted: it runs as it stands if its input is there."""
    entry, signature = request.target.entry, request.signature
    read = signature.input if signature is not None else None
    keys = "{" + ", ".join(f'"{key}": ...' for key in read.keys) + "}" if read and read.keys else "{...}"
    inputs = shlex.quote(keys) if read and read.takes_json else _EXAMPLES.get(entry.type, "INPUT")
    if not typed:
        inputs = "--input FILE"
    model = "" if request.target.model else " --model tiny"
    return f"{shlex.quote(request.name)}{model} {inputs}"


_GROUPS = {
    "task": "Parameters of {task}",
    "tokenizer": "Parameters that go on to its tokenizer",
    "generation": "Parameters that go on to generate()",
}


def _write_task(formatter: Any, request: TaskRequest, general: Mapping[str, bool]) -> None:
    signature = request.signature
    task = request.target.entry.task
    if signature is None:
        formatter.write_paragraph()
        formatter.write_text("Its class is decided when the task runs, so its parameters cannot be listed (--set).")
        return
    if signature.doc:
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(signature.doc)
    for group, title in _GROUPS.items():
        rows = [parameter_row(parameter, general) for parameter in signature.parameters if parameter.group == group]
        if rows:
            with formatter.section(title.format(task=task)):
                formatter.write_dl(rows)
    if not signature.parameters:
        formatter.write_paragraph()
        formatter.write_text(f"{task} has no parameters.")


def parameter_row(parameter: Parameter, general: Iterable[str]) -> tuple[str, str]:
    """Return a parameter's flag with its type, and its words with the default."""
    free = _spellings(parameter, general)
    flag = free[0] if free and free[0] == f"--{_kebab(parameter.name)}" else _PREFIX + parameter.name
    if "bool" in parameter.type.kinds:
        name = _kebab(parameter.name)
        left = f"{flag} / --no-{name}"
        if len(parameter.type.kinds) > 1:
            left += f" / {flag}=<{parameter.type}>"
    else:
        left = f"{flag} <{parameter.type}>"
    words = [parameter.doc.rstrip()]
    if parameter.default is not None:
        words.append(f"[default: {parameter.default}]")
    elif parameter.required:
        words.append("[required]")
    return left, "  ".join(word for word in words if word)
