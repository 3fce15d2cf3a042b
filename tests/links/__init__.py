"""Links: proxies between processes that understand whole messages, so that one can be watched, delayed or lost."""
