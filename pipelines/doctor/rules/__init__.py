"""The rules, by what they look at; importing this enters them all into the table."""

from pipesmith.pipelines.doctor.rules import arguments, attributes, classes, environment, files, imports, publishing

__all__ = ["arguments", "attributes", "classes", "environment", "files", "imports", "publishing"]
