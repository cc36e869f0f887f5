"""What holds for all tests."""

from hypothesis import settings

# How long one example takes says more about the machine than about what is tested.
settings.register_profile("modelfleet", deadline=None)
settings.load_profile("modelfleet")
