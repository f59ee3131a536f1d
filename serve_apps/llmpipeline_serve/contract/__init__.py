"""What the operator and the apps agree on: arguments, defaults, template rules, import paths, names of variables.

Both packages import it, so it needs pydantic and jinja2 alone. If an import path or the name or form of an argument
changes, an upgrade of the operator restarts every replica of every user.
"""
