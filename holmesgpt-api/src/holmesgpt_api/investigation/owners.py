"""Is a resource the request's, or one of its owners?"""

from __future__ import annotations

from holmesgpt_api.investigation.subject import Resource, Subject


def same(named: Resource, known: Resource) -> bool:
    """Kinds compare without case; a namespace that is not named matches any."""
    return (
        named.kind.lower() == known.kind.lower()
        and named.name == known.name
        and named.namespace in ("", known.namespace)
    )


def in_chain(named: Resource, subject: Subject) -> bool:
    return any(same(named, owner) for owner in subject.owner_chain or ())


def target_in_owner_chain(affected: Resource | None, subject: Subject) -> tuple[bool | None, list[str]]:
    """None means unknown: the member is left out of the answer. With the warnings this gives."""
    if affected is None:
        return None, []
    if same(affected, subject.resource) or in_chain(affected, subject):
        return True, []
    if subject.owner_chain is None:
        return None, []
    place = f"{affected.kind} {affected.namespace}/{affected.name}"
    return False, [f"Target {place} is not in the owner chain"]


def related(resource: Resource, subject: Subject) -> bool:
    """Proven to share the request's detected labels: itself, an owner, or a sibling under a known chain."""
    if same(resource, subject.resource) or in_chain(resource, subject):
        return True
    return (
        subject.owner_chain is not None
        and resource.kind.lower() == subject.resource.kind.lower()
        and resource.namespace == subject.resource.namespace
    )
