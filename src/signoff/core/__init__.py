"""The vocabulary that every room shares: ids, clock, errors, labels, actors, money. Pure; imports nothing of ours."""
