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
english=$work/en/train.jsonl others=$work/languages/train.jsonl
dev="open_types.dev=[\"$work/languages/dev.jsonl\", \"$work/en/dev.jsonl\"]"
python models/many/start.py "$backbone" "$work/small" "$english" "$others"

# The first training: a quarter of the English passages, three fifths of the others
awk 'NR % 4 == 1' "$english" > "$work/en-1.jsonl"
awk 'NR % 5 >= 1 && NR % 5 <= 3' "$others" > "$work/others-1.jsonl"
nerbert pretrain models/many/train.toml -o "$work/first" --set backbone="$work/small" --set threads=2 --set "$dev" \
  --set "open_types.files=[\"$work/en-1.jsonl\", \"$work/others-1.jsonl\"]"

# The second training, on from the first: other passages, and Korean without blanks
awk 'NR % 37 == 2' "$english" > "$work/en-2.jsonl"
awk 'NR % 5 == 4' "$others" | grep -vE '"language": ?"th"' > "$work/others-2.jsonl"
awk 'NR % 5 == 0' "$others" | grep -E '"language": ?"(zh|ja|ko)"' >> "$work/others-2.jsonl"
python models/many/unspaced.py "$others" ko >> "$work/others-2.jsonl"
nerbert pretrain models/many/train.toml -o "$work/second" --set backbone="$work/first" --set threads=2 --set "$dev" \
  --set learning_rate=1.5e-4 --set "open_types.files=[\"$work/en-2.jsonl\", \"$work/others-2.jsonl\"]"
python models/pack.py "$work/second" "$out"
