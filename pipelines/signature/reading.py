"""A class's signature put together from its routing, its stages and its docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipesmith.pipelines.errors import PipelineLoadError
from pipesmith.pipelines.names import near_miss
from pipesmith.pipelines.signature.annotations import (
    Resolve,
    annotated_type,
    documented_type,
    enum_choices,
    enum_type,
    is_structured,
    literal_type,
    takes_text,
    value_type,
)
from pipesmith.pipelines.signature.classes import METHODS, STAGES, ClassSource, Lineage, Method, lineage
from pipesmith.pipelines.signature.constants import UNKNOWN, EnumMember, as_json, as_typed, constant
from pipesmith.pipelines.signature.conventions import conventional_type
from pipesmith.pipelines.signature.docstrings import Documented, documented, first_paragraph
from pipesmith.pipelines.signature.fallback import settle
from pipesmith.pipelines.signature.generation import TOKENIZER_FIELDS, PassedOn, generation_fields
from pipesmith.pipelines.signature.keys import read_keys
from pipesmith.pipelines.signature.model import InputParameter, Parameter, Signature
from pipesmith.pipelines.signature.names import (
    Definition,
    PipelineBase,
    class_body,
    is_enum,
    lookup_constant,
    resolve,
    resolve_name,
    statements,
)
from pipesmith.pipelines.signature.parameter_types import JSON_OBJECT, NOTHING, TEXT, ParameterType, unite
from pipesmith.pipelines.signature.routes import Given, Route, Routing, routes_of
from pipesmith.pipelines.signature.routing import read_routing
from pipesmith.pipelines.signature.stages import ABSENT, Stage, StageArgument, read_stages
from pipesmith.pipelines.source import ClassReference, absolute_module, parse

# what transformers.Pipeline.__init__ takes, on 4.57 and 5, by name or by popping it
_BASE_INIT = {"model", "tokenizer", "feature_extractor", "image_processor", "video_processor", "processor", "modelcard"}
_BASE_INIT |= {"framework", "task", "device", "torch_dtype", "dtype", "binary_output", "args_parser", "num_workers"}
_BASE_INIT |= {"batch_size", "trust_remote_code", "assistant_model", "assistant_tokenizer"}


def read_signature(reference: ClassReference) -> Signature:
    """Read the signature of a pipeline class.

    Raises:
        PipelineLoadError: the file is missing or does not parse, or has no such class.
    """
    line = lineage(_class_source(reference))
    return _Reader(line).signature()


def pipeline_classes(file: Path) -> list[str]:
    """List the pipelines that a file defines, in file order: no private ones, and no unfinished bases of others.

    Raises:
        PipelineLoadError: the file is missing or does not parse.
    """
    found = {}
    for statement in statements(parse(file).body):
        if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_"):
            line = lineage(ClassSource(file, statement))
            if line.is_pipeline:
                found[statement.name] = line
    complete = [name for name, line in found.items() if not missing_methods(line)]
    return complete or list(found)


def missing_methods(line: Lineage) -> tuple[str, ...]:
    """Return the methods that a pipeline lacks; none if a base that was not found may have them."""
    if line.unknown:
        return ()
    return tuple(name for name in METHODS if line.method(name) is None)


def _class_source(reference: ClassReference) -> ClassSource:
    file = reference.file
    if file is None and reference.module is not None:
        file = absolute_module(reference.module)[0]
    if file is None:
        raise PipelineLoadError(
            f"No source was found for {reference.module or ''}.{reference.name}.",
            hint="Check the module's name, and that its package is installed.",
        )
    parse(file)  # says what is wrong with the file before anything else does
    found = resolve_name(file, reference.name)
    if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
        return ClassSource(found.file, found.node)
    if isinstance(found, PipelineBase):
        raise PipelineLoadError(f"{reference.name} of {file} is transformers' base class, not a pipeline.")
    raise PipelineLoadError(f"{file} has no class {reference.name}.", hint=_other_classes(file, reference.name))


def _other_classes(file: Path, wanted: str) -> str:
    names = [one.name for one in statements(parse(file).body) if isinstance(one, ast.ClassDef)]
    if not names:
        return "The file defines no class."
    near = near_miss(wanted, names)
    defines = f"The file defines {', '.join(names)}."
    return f"{near} {defines}" if near else defines


class _Reader:
    """Puts the signature of one class together."""

    def __init__(self, line: Lineage) -> None:
        self.line = line
        self.cls = line.cls
        self.stages = read_stages(line)
        self.docs = _Docs(line)
        sanitize = line.method("_sanitize_parameters")
        self.routing = read_routing(line, sanitize) if sanitize is not None else Routing(refused=True)
        if sanitize is not None:
            settle(self.routing, self.stages, takes_keywords=sanitize.arguments()[2] is not None)

    def signature(self) -> Signature:
        parameters = [self._parameter(given) for given in self.routing.given.values()]
        parameters += self._through_rest({parameter.name for parameter in parameters})
        parameters += self._passed_on({parameter.name for parameter in parameters})
        methods = (self.line.method(name) for name in METHODS)
        return Signature(
            class_name=self.cls.name,
            file=self.cls.file,
            line=self.cls.node.lineno,
            doc=first_paragraph(self.cls.node),
            input=self._input(),
            parameters=tuple(parameters),
            init_parameters=tuple(self._init_parameters()),
            missing_methods=missing_methods(self.line),
            is_pipeline=self.line.is_pipeline,
            transformers_base=next((one.name for one in self.line.sources if one.in_transformers), None),
            unknown_parameters=self._unknown_parameters(),
            method_places={one.name: (one.file, one.line) for one in methods if one is not None},
            notes=tuple(self._notes()),
        )

    # parameters

    def _parameter(self, given: Given) -> Parameter:
        routes = routes_of(self.routing, given.name)
        field = self._field(given.name, routes)
        entry = self.docs.of(given.name)
        kind = self._type(given, routes, field)
        default = self._default(given, routes)
        return Parameter(
            name=given.name,
            stages=tuple(name for name in STAGES if any(route.stage == name for route in routes)),
            type=kind,
            default=as_typed(default),
            default_value=as_json(default),
            doc=entry.text if entry and entry.text else field.doc if field else "",
            warning=self._warning(given, routes),
            required=any(map(self._is_demanded, routes)),
        )

    def _is_demanded(self, route: Route) -> bool:
        """Tell whether a stage has no default for what it only gets if the parameter is given."""
        stage = self.stages.get(route.stage)
        argument = stage.argument(route.key) if stage is not None and route.key is not None else None
        return argument is not None and argument.default is ABSENT and route.by_default is False

    def _through_rest(self, found: set[str]) -> Iterator[Parameter]:
        """Yield what a stage names and gets with the var-keyword, though nothing else mentions it."""
        for stage in self._rest_stages():
            for name in stage.names:
                argument = stage.argument(name)
                if argument is None or name in found or not self._rest_reaches(name):
                    continue
                found.add(name)
                entry = self.docs.of(name)
                default = self.routing.presets.get(name, _none_if_absent(stage.default(name)))
                yield Parameter(
                    name=name,
                    stages=tuple(one.name for one in self._rest_stages()),
                    type=self._argument_type(argument, entry),
                    default=as_typed(default),
                    default_value=as_json(default),
                    doc=entry.text if entry else "",
                    required=argument.default is ABSENT and name not in self.routing.presets,
                )

    def _passed_on(self, found: set[str]) -> Iterator[Parameter]:
        """Yield the fields of GenerationConfig and of the tokenizer where the var-keyword goes there."""
        sinks = {sink for stage in self._rest_stages() for sink in stage.keyword_sinks()}
        for group in sorted(sinks, reverse=True):
            for field in _fields(group).values():
                if field.name in found or not self._rest_reaches(field.name):
                    continue
                found.add(field.name)
                stages = tuple(stage.name for stage in self._rest_stages())
                default = self.routing.presets.get(field.name)
                yield Parameter(
                    field.name,
                    stages,
                    field.type,
                    as_typed(default),
                    field.doc,
                    group,
                    default_value=as_json(default),
                )

    def _rest_stages(self) -> list[Stage]:
        return [self.stages[name] for name in STAGES if name in self.routing.rest and name in self.stages]

    def _rest_reaches(self, name: str) -> bool:
        """Whether a parameter that nothing names gets through the var-keyword without a TypeError."""
        if self.routing.refused:
            return False
        stages = self._rest_stages()
        return any(name not in self.routing.rest[stage.name] for stage in stages) and all(
            stage.takes_anything or name in stage.arguments or stage.name in self.routing.unread for stage in stages
        )

    def _field(self, name: str, routes: list[Route]) -> PassedOn | None:
        """Return the field of `generate` or of the tokenizer that a parameter becomes."""
        for route in routes:
            stage = self.stages.get(route.stage)
            if stage is not None and route.key == name and route.is_same:
                for sink in stage.argument_sinks(name):
                    if name in _fields(sink):
                        return _fields(sink)[name]
        return None

    # types

    def _type(self, given: Given, routes: list[Route], field: PassedOn | None) -> ParameterType:
        arguments = self._stage_arguments(routes)
        entry = self.docs.of(given.name)
        annotations = [self._annotated(one.annotation, one.file, one.method) for one in arguments]
        annotations.append(annotated_type(given.annotation, _resolver(given.file)))
        written = next((one for one in annotations if one.kinds), NOTHING)
        if not written.kinds:
            defaults = [value_type(one.default) for one in arguments] + [value_type(given.default)]
            default = next((one for one in defaults if one.kinds), NOTHING)
            if given.default == "" and arguments:
                default = next((one for one in defaults[:-1] if one.kinds), NOTHING)
            written = self._unwritten_type(given, default, entry, field)
        nullable = any(one.nullable for one in (written, *annotations))
        return self._narrowed(given, routes, replace(written, nullable=nullable))

    def _unwritten_type(
        self, given: Given, default: ParameterType, entry: Documented | None, field: PassedOn | None
    ) -> ParameterType:
        """Return the type of a parameter without an annotation."""
        said = documented_type(entry.type_text) if entry else NOTHING
        passed = field.type if field else NOTHING
        enum = self.routing.enums.get(given.name)
        if enum is not None:
            return enum_choices(enum)
        conventional = (conventional_type(given.name) if given.owner.in_transformers else None) or NOTHING
        if default.choices:  # a strategy for padding may be True or False as well
            return unite([default, ParameterType(("bool",))]) if "bool" in conventional.kinds else default
        if given.owner.in_transformers:
            checked = _checked_type(self.routing.kinds.get(given.name, set()))
            members = self.routing.members.get(given.name)
            listed = enum_type(members) if members is not None else NOTHING
            if not said.kinds:
                default = next((one for one in (passed, conventional) if _includes(one, default)), default)
            return _first_telling(said, default, passed, listed, checked, conventional)
        if default.kinds and _includes(said, default):
            return said  # a default of 0 says int, its docstring float
        return _first_telling(default, passed, said)

    def _takes_lists(self, route: Route) -> bool:
        stage = self.stages.get(route.stage)
        return stage is not None and route.key is not None and route.is_same and stage.takes_lists(route.key)

    def _narrowed(self, given: Given, routes: list[Route], kind: ParameterType) -> ParameterType:
        """Add what checks show (lists, a closed set), and None where the default is a sentinel for it."""
        if given.owner.in_transformers and any(self._takes_lists(route) for route in routes):
            kind = replace(kind, is_list=True)
        options = self.routing.checks.get(given.name)
        if options and kind.kinds == ("str",) and not kind.choices and not kind.is_list:
            closed = literal_type([one for one in options if one is not None])
            if closed.kinds == ("str",):
                kind = replace(kind, choices=closed.choices)
        if given.default == "" and "str" not in kind.kinds:
            kind = replace(kind, nullable=True)
        return kind

    def _argument_type(self, argument: StageArgument, entry: Documented | None) -> ParameterType:
        said = documented_type(entry.type_text) if entry else NOTHING
        annotated = self._annotated(argument.annotation, argument.file, argument.method)
        return _first_telling(annotated, value_type(argument.default), said)

    def _stage_arguments(self, routes: list[Route]) -> list[StageArgument]:
        found = []
        for route in routes:
            stage = self.stages.get(route.stage)
            argument = stage.argument(route.key) if stage is not None and route.key and route.is_same else None
            if argument is not None:
                found.append(argument)
        return found

    def _annotated(self, annotation: ast.expr | None, file: Path, method: Method) -> ParameterType:
        return annotated_type(annotation, _resolver(file, method.owner))

    # defaults

    def _default(self, given: Given, routes: list[Route]) -> object:
        """Return the value in effect when the parameter is not given; UNKNOWN if it is computed."""
        direct = [route for route in routes if route.is_same and route.key is not None]
        for route in direct:
            value = self._default_in_stage(route)
            if value is not None:
                return value
        if direct:
            return None
        for route in routes:
            if route.key is None or route.is_inner:
                continue
            if route.by_default and given.default is not UNKNOWN:
                return given.default
            stage = self.stages.get(route.stage)
            if stage is not None and stage.default(route.key) not in (None, ABSENT):
                return UNKNOWN  # the stage's default belongs to what is made of the parameter
        return None if routes or given.default is UNKNOWN else given.default

    def _default_in_stage(self, route: Route) -> object:
        assert route.key is not None
        stage = self.stages.get(route.stage)
        if route.by_default:
            passed = route.default
            return stage.when_none(route.key) if passed is None and stage is not None else passed
        return _none_if_absent(stage.default(route.key)) if stage is not None else None

    # what goes wrong

    def _warning(self, given: Given, routes: list[Route]) -> str | None:
        for route in routes:
            stage = self.stages.get(route.stage)
            if stage is None or route.key is None or stage.takes_anything:
                continue
            if route.key not in stage.arguments:
                return f"{route.stage} does not take {route.key}"
        if not routes and given.name not in self.routing.used:
            return "_sanitize_parameters takes it and drops it"
        enum = self._enum(given, routes)
        if enum is not None and given.name not in self.routing.enums and not takes_text(enum):
            return f"the code compares it with members of {enum.name}, which text does not equal"
        return None

    def _enum(self, given: Given, routes: list[Route]) -> ast.ClassDef | None:
        for argument in self._stage_arguments(routes):
            if isinstance(argument.default, EnumMember):
                return argument.default.enum
            annotation = self._enum_in(argument.annotation, _resolver(argument.file, argument.method.owner))
            if annotation is not None:
                return annotation
        return self._enum_in(given.annotation, _resolver(given.file)) or self.routing.members.get(given.name)

    def _enum_in(self, annotation: ast.expr | None, resolver: Resolve) -> ast.ClassDef | None:
        """Find the enumeration that an annotation names."""
        for node in ast.walk(annotation) if annotation is not None else ():
            found = resolver(node) if isinstance(node, (ast.Name, ast.Attribute)) else None
            if found is not None and isinstance(found.node, ast.ClassDef) and is_enum(found.node):
                return found.node
        return None

    def _unknown_parameters(self) -> str:
        if self.routing.refused or any(not stage.takes_anything for stage in self._rest_stages()):
            return "refused"
        return ", ".join(name for name in STAGES if name in self.routing.rest) or "dropped"

    def _notes(self) -> Iterator[str]:
        yield from self.routing.notes
        for base in self.line.unknown:
            yield f"{base.file}:{base.line}: the base class {base.text} was not found"
        for stage in self.stages.values():
            if stage.method.node is None:
                yield f"{stage.method.file}:{stage.method.line}: {stage.name} is set to something that was not read"
            elif not stage.method.owner.in_transformers and not self.routing.notes:
                yield from self._never_passed(stage)

    def _never_passed(self, stage: Stage) -> Iterator[str]:
        """Yield the arguments of a stage that no call can reach."""
        is_open = stage.name in self.routing.unread | set(self.routing.rest)
        if is_open or any(route.stage == stage.name and route.key is None for route in self.routing.routes):
            return
        for name in stage.arguments:
            if name not in self.routing.keys.get(stage.name, set()) and not name.startswith("_"):
                place = f"{stage.method.file}:{stage.method.line}"
                yield f"{place}: {stage.name} takes {name!r}, which _sanitize_parameters never passes on"

    # input and __init__

    def _input(self) -> InputParameter | None:
        method = self.line.method("preprocess")
        if method is None:
            return None
        named, _, _ = method.arguments()
        rest = method.node.args.vararg if method.node is not None else None
        first = named[0] if named and len(named) > len(method.stage_arguments()[0]) else rest
        if first is None:
            return None
        resolver = _resolver(method.file, method.owner)
        entry = self.docs.of(first.arg) or self.docs.of(self._call_input() or first.arg)
        is_own = method.node is not None and first is not rest and not self._is_prepared(method)
        keys = read_keys(method.node, first.arg) if is_own and method.node is not None else ()
        return InputParameter(
            name=first.arg,
            annotation=_source(first.annotation),
            takes_json=is_structured(first.annotation, resolver) or (first.annotation is None and bool(keys)),
            doc=entry.text if entry else "",
            keys=keys,
        )

    def _is_prepared(self, preprocess: Method) -> bool:
        """Tell whether a `__call__` that knows of `preprocess` stands before it, and may make its dict."""
        call, owner = self.line.method("__call__"), preprocess.owner
        has_own_call = call is not None and call.owner is not None and not call.owner.in_transformers
        return has_own_call or (owner is not None and owner.in_transformers)

    def _call_input(self) -> str | None:
        method = self.line.method("__call__")
        named = method.arguments()[0] if method is not None else []
        return named[0].arg if named else None

    def _init_parameters(self) -> Iterator[Parameter]:
        found: set[str] = set(_BASE_INIT)
        for source in self.line.sources:
            method = Lineage((source,)).method("__init__")
            if method is None or method.node is None:
                continue
            named, defaults, keywords = method.arguments()
            arguments = [(one.arg, one.annotation, defaults.get(one.arg)) for one in named]
            arguments += [(name, None, default) for name, default in _popped(method, keywords)]
            for name, annotation, default in arguments:
                if name not in found:
                    found.add(name)
                    yield self._init_parameter(name, annotation, default, method)
            if keywords is None:
                return

    def _init_parameter(
        self, name: str, annotation: ast.expr | None, default: ast.expr | None, method: Method
    ) -> Parameter:
        value = ABSENT if default is None else constant(default, partial(lookup_constant, method.file))
        argument = StageArgument(name, annotation, value, method.file, method)
        entry = self.docs.of(name)
        return Parameter(
            name=name,
            stages=(),
            type=self._argument_type(argument, entry),
            default=as_typed(_none_if_absent(value)),
            default_value=as_json(value),
            doc=entry.text if entry else "",
            required=default is None,
        )


class _Docs:
    """What the docstrings of a class and its ancestors say of parameters, the nearest first."""

    def __init__(self, line: Lineage) -> None:
        self._line = line
        self._found: list[dict[str, Documented]] | None = None

    def of(self, name: str) -> Documented | None:
        """Return what is said of a parameter; the type may come from further away than the text."""
        entries = [one[name] for one in self._read() if name in one]
        if not entries:
            return None
        kind = next((one.type_text for one in entries if one.type_text), "")
        return Documented(kind, next((one.text for one in entries if one.text), ""))

    def _read(self) -> list[dict[str, Documented]]:
        if self._found is None:
            self._found = [
                documented(node) for source in self._line.sources for node in _documenting(source) if node is not None
            ]
        return self._found


def _documenting(source: ClassSource) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the class and its methods in the order in which they are asked for a parameter's description."""
    methods = {
        one.name: one for one in class_body(source.node) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    for name in ("__call__", "", *METHODS, "__init__"):
        if not name:
            yield source.node
        elif name in methods:
            yield methods[name]


def _popped(method: Method, keywords: str | None) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the keys that an `__init__` takes out of its var-keyword, with their defaults."""
    if keywords is None or method.node is None:
        return
    for node in ast.walk(method.node):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("pop", "get")
            and node.args
        ):
            key = constant(node.args[0])
            if isinstance(node.func.value, ast.Name) and node.func.value.id == keywords and isinstance(key, str):
                got = ast.Constant(None) if node.func.attr == "get" else None
                yield key, node.args[1] if len(node.args) > 1 else got


def _resolver(file: Path, owner: ClassSource | None = None) -> Resolve:
    """Return what finds the names of annotations in a file, and in the class that holds the method."""

    def find(node: ast.expr) -> Definition | None:
        if owner is not None and isinstance(node, ast.Name):
            for statement in class_body(owner.node):
                if isinstance(statement, ast.ClassDef) and statement.name == node.id:
                    return Definition(owner.file, statement, node.id)
        found = resolve(file, node)
        return found if isinstance(found, Definition) else None

    return find


def _source(node: ast.expr | None) -> str | None:
    if node is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.unparse(node)


def _none_if_absent(value: object) -> object:
    return None if value is ABSENT else value


def _fields(sink: str) -> dict[str, PassedOn]:
    return generation_fields() if sink == "generation" else TOKENIZER_FIELDS


def _first_telling(*types: ParameterType) -> ParameterType:
    """Return the first type that says something; text if none does."""
    return next((one for one in types if one.kinds), TEXT)


def _includes(wide: ParameterType, narrow: ParameterType) -> bool:
    """Say whether what a docstring says takes in what a default shows."""
    kinds = set(wide.kinds) | ({"int"} if "float" in wide.kinds else set())
    return bool(wide.kinds and narrow.kinds) and set(narrow.kinds) <= kinds and (wide.is_list or not narrow.is_list)


def _checked_type(names: set[str]) -> ParameterType:
    """Return the type that `isinstance` checks show: `isinstance(x, str)`, then `x = [x]`."""
    kinds = {name: ParameterType((name,)) for name in ("int", "float", "str", "bool")} | {"dict": JSON_OBJECT}
    found = unite(kinds[name] for name in sorted(names) if name in kinds)
    return replace(found, is_list=found.kinds == ("str",) and "list" in names)
