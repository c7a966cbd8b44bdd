"""The prior of people that comes with the package: `people.prior`, with its model card `people.md`."""
