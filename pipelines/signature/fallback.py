"""What the walk of `_sanitize_parameters` left open, decided by what the stages name.

A parameter that goes into a dictionary under a key that was not read is taken to go where a stage has a parameter of
its name. So is what a stage names, if its dictionary is made of the var-keyword in a way that was not read.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipesmith.pipelines.signature.constants import UNKNOWN
from pipesmith.pipelines.signature.routes import Given, Route, Routing, routes_of
from pipesmith.pipelines.signature.stages import Stage


def settle(routing: Routing, stages: Mapping[str, Stage], *, takes_keywords: bool) -> None:
    """Give the parameters whose ways were not read those that the stages' own names show.

    Args:
        routing: what was read; it is changed.
        stages: the stages by name.
        takes_keywords: whether `_sanitize_parameters` has a var-keyword.
    """
    for name in routing.given:
        routes = routes_of(routing, name)
        if any(route.key is not None for route in routes):
            continue
        is_open = {route.stage for route in routes} | routing.unread
        found = [_route(name, stage.name, None) for stage in _naming(stages, name) if stage.name in is_open]
        if found:
            routing.routes = [route for route in routing.routes if route.parameter != name] + found
            for route in found:
                routing.keys.setdefault(route.stage, set()).add(name)
    if takes_keywords:
        for name, route in _through_keywords(routing, stages):
            argument = stages[route.stage].argument(name)
            if argument is not None:
                owner = stages[route.stage].method.owner
                routing.given.setdefault(name, Given(name, owner, None, None, argument.file))
                routing.routes.append(route)


def _naming(stages: Mapping[str, Stage], name: str) -> list[Stage]:
    return [stage for stage in stages.values() if stage.argument(name) is not None]


def _through_keywords(routing: Routing, stages: Mapping[str, Stage]) -> list[tuple[str, Route]]:
    """Return the parameters that nothing but a stage names, and that may be among the var-keyword."""
    found = []
    for stage in stages.values():
        keys: dict[str, bool | None] = {}
        if stage.name in routing.unread:
            keys.update((name, None) for name in stage.names if name not in routing.keys.get(stage.name, ()))
        keys.update(routing.unread_keys.get(stage.name, {}))
        found += [(name, _route(name, stage.name, by)) for name, by in keys.items() if name not in routing.given]
    return found


def _route(name: str, stage: str, by_default: bool | None) -> Route:
    return Route(name, stage, name, True, False, by_default, UNKNOWN)
