"""A task as a folder that plain transformers loads, proved to, and published on the Hub.

`closure.py` finds the code, `folder.py` writes the folder, `card.py` its model card, `example.py` an input to try it
with; `proof.py` runs it in a fresh process (`fresh.py`), `upload.py` makes the commit, `publish.py` is all of it in
turn, and `verify.py` the same proof for a repository that is there already.
"""
