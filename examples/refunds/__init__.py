"""The refunds example: a Signoff project directory, the shop it works on, its tickets and what is right for each."""
