"""`pipe doctor`: what breaks between transformers 4 and 5, and before publishing, read from source alone.

`finding.py` is the table's shape, `rules/` its rows by what they look at; `source_file.py` parses and walks a file,
`scan.py` sends files through the rules, `mending.py` makes the safe mends, `environment.py` looks at the machine, and
`coverage.py` says which shim or rule meets each thing that was seen to break.

Not a type checker: what a value is, is known only where the source says it. Code is never imported.
"""

from __future__ import annotations

from pipesmith.pipelines.doctor.environment import check_environment
from pipesmith.pipelines.doctor.finding import RULES, Finding, Rule
from pipesmith.pipelines.doctor.mending import Mended, mend
from pipesmith.pipelines.doctor.scan import Report, scan

__all__ = ["RULES", "Finding", "Mended", "Report", "Rule", "check_environment", "mend", "scan"]
