import yaml


def of(unit):
    return yaml.safe_load(str(unit))
