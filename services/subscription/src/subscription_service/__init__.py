"""The subscription service: who has a running subscription, by the word of Google Play."""
