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

# The third training, on from the second, and a short one on scripts without spaces, both with all weights; their mean
grep -E '"language": ?"(zh|ja|ko|th)"' "$others" > "$work/unspaced.jsonl"
awk 'NR % 16 == 3' "$english" > "$work/en-3.jsonl"
awk 'NR % 5 == 0 || NR % 5 == 3 || NR % 10 == 1' "$others" | grep -vE '"language": ?"(zh|ja|ko|th)"' \
  | cat - "$work/unspaced.jsonl" > "$work/others-3.jsonl"
grep -vE '"language": ?"ko"' "$work/unspaced.jsonl" | awk 'NR % 2' >> "$work/others-3.jsonl"
python models/many/unspaced.py "$others" ko >> "$work/others-3.jsonl"
all=(backbone="$work/second" threads=2 num_frozen_layers=0 "$dev")
nerbert pretrain models/many/train.toml -o "$work/third" "${all[@]/#/--set=}" --set learning_rate=2e-4 \
  --set "open_types.files=[\"$work/en-3.jsonl\", \"$work/others-3.jsonl\"]"
grep -vE '"language": ?"th"' "$work/unspaced.jsonl" > "$work/unspaced-4.jsonl"
awk 'NR % 20 == 0' "$others" | grep -vE '"language": ?"(zh|ja|ko|th)"' > "$work/spaced-4.jsonl"
nerbert pretrain models/many/train.toml -o "$work/short" "${all[@]/#/--set=}" --set learning_rate=1.5e-4 \
  --set max_eval_samples=50 --set "open_types.files=[\"$work/unspaced-4.jsonl\", \"$work/spaced-4.jsonl\"]"
python models/average.py models/many/train.toml 0.5 "$work/third" "$work/averaged" \
  backbone="$work/short" threads=2 "$dev" "open_types.files=[\"$work/en-3.jsonl\", \"$work/others-3.jsonl\"]"
python models/pack.py "$work/averaged" "$out"
