"""From a name and a few answers to a task: its pipeline, its tests, its entry, and later their update.

    answers.py        what a task is made from, and the reading of `top_k:int=5@postprocess`
    choosing.py       what an author says, checked and completed
    names.py          a task's name
    model_classes.py  the Auto classes of transformers, read from its source
    parents.py        the task that another one starts from
    rows.py           what a row of that task is, for tests and for the command line
    rendering.py      answers and Jinja templates to the text of files
    plan.py           the files to write: shown, compared with what is there, staged and renamed
    project_file.py   the pyproject.toml that makes a folder a project
    update.py         the three-way merge when templates have changed
    into.py           the files of a task in a checkout of transformers
    transformers_source.py  the source of transformers with a task added to it

Nothing here imports torch or transformers.
"""
