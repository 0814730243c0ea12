"""CDLM's network (Jia, Liang and Zhang, ACL 2019): a BiLSTM whose weights follow from a task and a domain."""
