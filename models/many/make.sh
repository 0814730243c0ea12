#!/usr/bin/env bash
# make.sh BACKBONE OUT: make the model's folder OUT, in a new folder OUT.work.
#   BACKBONE  folder of intfloat/multilingual-e5-small (MIT)
# It runs in the repository's folder, with nerbert[train,export] and wordfreq 3.1.1 installed.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2; }
backbone=$1 out=$2 work=$2.work
mkdir -p "$work"
python sources/open_types/build.py --version 2 -o "$work/en"
python sources/open_types/build_languages.py -o "$work/languages"
python models/many/start.py "$backbone" "$work/small" "$work/en/train.jsonl" "$work/languages/train.jsonl"
awk 'NR % 4 == 1' "$work/en/train.jsonl" > "$work/en.jsonl"
awk 'NR % 5 >= 1 && NR % 5 <= 3' "$work/languages/train.jsonl" > "$work/languages.jsonl"
nerbert pretrain models/many/train.toml -o "$work/trained" --set backbone="$work/small" --set threads=2 \
  --set "open_types.files=[\"$work/en.jsonl\", \"$work/languages.jsonl\"]" \
  --set "open_types.dev=[\"$work/languages/dev.jsonl\", \"$work/en/dev.jsonl\"]"
python models/pack.py "$work/trained" "$out"
