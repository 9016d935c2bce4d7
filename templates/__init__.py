"""Jinja templates; each is tested by using what it renders."""
