"""A page, a part of one or an action each: asks the contract, and shows what it answers."""
