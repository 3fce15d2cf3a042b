"""The services as others see them: internal requests, answers, errors and a typed client, one file each."""
