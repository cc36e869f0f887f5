"""How far may a new revision go? Pure, over a few numbers, so that a million histories can be
tried.

    facts      what a rollout depends on, taken from the picture
    capacity   how many pods does a share of the traffic need, and how much can so many carry?
    surge      where do the new pods find their places, beside the earlier ones or in theirs?
    shift      which weights may be written now? the order of every shift is here
    rest       who keeps pods that the step does not need, and how long?
    progress   the step that a rollout is at, and when it goes on, fails, or ends
"""
