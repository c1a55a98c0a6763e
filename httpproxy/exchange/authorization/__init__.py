"""May this call be made? Whose token it carries (`account`), or which API key of ours stands in
for one (`standin`).
"""
