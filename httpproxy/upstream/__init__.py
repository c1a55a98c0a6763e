"""The only caller of APIs: who may go next, and one exchange with an API over HTTP."""
