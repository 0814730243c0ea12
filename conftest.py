"""What all tests have, those in `tests` and those of each package."""

pytest_plugins = ["tests.fixtures", "tests.model_fixtures"]
