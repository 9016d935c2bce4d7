from .words import of


def size(length):
    return of(length)
