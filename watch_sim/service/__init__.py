"""The service behind the page: nights, predictions, live sessions, statistics and exports of one run."""
