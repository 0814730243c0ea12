#!/usr/bin/env bash
# make.sh BACKBONE BASE WIKI DBPEDIA TYPES NER OUT: make the model's folder OUT again, in a new folder OUT.work;
# four hours on one core.
#   BACKBONE  folder of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)
#   BASE      folder of sentence-transformers/all-mpnet-base-v2 (Apache-2.0), from which the teacher is trained
#   WIKI      folder of dumps of Wikipedias (CC BY-SA): 775 pages in English, 216 in German, 674 articles in Italian
#   DBPEDIA   folder with DBpedia's ontology.xml.xz and Mapping_en.xml.xz (CC BY-SA 3.0)
#   TYPES     folder with types of titles: combined.tsv.xz and joie_db111k.tsv.xz (of DBpedia, CC BY-SA 3.0)
#   NER       folder of annotated data sets: sentences in a dev.conll or test.conll there are left out
# It runs in the repository's folder, with nerbert[train,export] and nerbert-papers installed.
set -euo pipefail
[ $# = 7 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }
backbone=$1 base=$2 wiki=$3 dbpedia=$4 types=$5 ner=$6 out=$7 work=$7.work
dump() { echo "$wiki/$1wiki-sample-pages-articles-multistream.xml.bz2"; }
sha256sum --check --quiet <<SUMS
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  $backbone/model.safetensors
78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658  $base/model.safetensors
79983d1a4663bf7fd93c50e42c075d012e5002b38a49f59959d1a99203d0b4ee  $(dump en)
a9ce2ee4472e378640e4dd151d42ff8998df9e9e315dcb6f615eeff960633f41  $(dump de)
4b88af5b3f5719d6fbafcdf52a6efa277cf9fe4ad61aafe1a0abd2ec78800c6e  $(dump it)
3910a41842ca1d93e17cd36431349949c8232671da2c525e55c53def898adcf4  $dbpedia/ontology.xml.xz
0a0c96a11fd554f6febbfbf0fce89eb7898b37124b6a180d11220f0f46cc49b6  $dbpedia/Mapping_en.xml.xz
d363ba907d738e3b423e1757b6f98f2dff1ec5ab24d91bc8fe4034fda460b4f6  $types/combined.tsv.xz
8120b6f04fce45760f5e9a0e20750ee61476831242d3571b56a0c4fc246aa4eb  $types/joie_db111k.tsv.xz
SUMS
mkdir -p "$work"
export PYTHONPATH=models/minilm
python sources/open_types/build.py --version 2 -o "$work/open-types"
nerbert corpus build "$(dump en)" --knowledge "$dbpedia" --knowledge "$types/combined.tsv.xz" \
  --knowledge "$types/joie_db111k.tsv.xz" -o "$work/corpus" --exclude "$ner"/*/dev.conll "$ner"/*/test.conll
passages="open_types.files=[\"$work/open-types/train.jsonl\"]" dev="open_types.dev=[\"$work/open-types/dev.jsonl\"]"

# The first training, and the teacher: links and open types; open types alone
nerbert pretrain nerbert/configs/names.toml -o "$work/trained" --set backbone="$backbone" --set corpus="$work/corpus" \
  --set threads=1 --set names.shared=true --set "$passages" --set "$dev"
python models/pack.py "$work/trained" "$work/first"
nerbert pretrain nerbert/configs/names_base.toml -o "$work/teacher" --set backbone="$base" --set "corpus=[]" \
  --set open_types.sample=18000 --set threads=2 --set "$passages" --set "$dev"

# The second training: on from the first one, with the teacher, on sentences of all pages; then the average of both
for pages in en="$work/corpus" de="$(dump de)" it="$(dump it)"; do
  nerbert corpus near "$work/open-types/dev.jsonl" --from "${pages#*=}" --pages 100000 -o "$work/${pages%%=*}.jsonl"
done
python models/minilm/texts.py "$work/texts.jsonl" "$ner" "$work/open-types/train.jsonl" \
  en="$work/en.jsonl" de="$work/de.jsonl" it="$work/it.jsonl"
values=(backbone="$work/first" taught.teacher="$work/teacher" threads=2 "$dev"
  "open_types.files=[\"$work/texts.jsonl\"]")
nerbert pretrain models/minilm/taught.toml -o "$work/taught" "${values[@]/#/--set=}"
python models/average.py models/minilm/taught.toml 0.55 "$work/taught" "$work/averaged" "${values[@]}"
python models/pack.py "$work/averaged" "$out"
