"""Users, organizations and access tokens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Account:
    """A token and whose it is.

    Args:
        role: "write", or "read" for a token that may only read.
    """

    name: str
    role: str
    token: str


@dataclass
class Accounts:
    """Everybody who has a token."""

    by_token: dict[str, Account] = field(default_factory=dict)
    organizations: dict[str, set[str]] = field(default_factory=dict)

    def token(self, name: str, role: str = "write") -> str:
        """The user's token of that role; user and token are made when first asked for."""
        token = f"hf_{name}" if role == "write" else f"hf_{name}_{role}"
        self.by_token[token] = Account(name, role, token)
        return token

    def member(self, account: Account | None, namespace: str) -> bool:
        """Whether the namespace is the account's own or that of an organization it belongs to."""
        if account is None:
            return False
        return account.name == namespace or account.name in self.organizations.get(namespace, ())
