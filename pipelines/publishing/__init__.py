"""A task as a folder that plain transformers loads, proved to, and published on the Hub.

closure.py        the code that a class needs: imports.py reads, rewriting.py rewrites, requirements.py names packages
tasks.py          which tasks are published, and on which model
content.py        the folder of a push but for its card: its examples are run here
folder.py         a live pipeline written with its code: what `save_pretrained` does
checkpoints.py    tasks written into a checkpoint folder that is there already
example.py        an input to show a task with, and its output
card.py           the model card; metadata.py adds to the lines at its top
proof.py          the folder in a fresh process of plain transformers, whose script is fresh.py
remote.py         a repository as it is now, and who may write to it
upload.py         one commit, guarded and repeatable
verify.py         the proof, and checksums, of a repository
space.py          a Space that runs the task
publish.py        all of it in turn: `pipe push`
"""
