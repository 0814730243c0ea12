#!/usr/bin/env bash
# make.sh BACKBONE WIKI DBPEDIA TYPES NER OUT: make the model's folder OUT again, in a new folder OUT.work; 75 minutes on one core.
#   BACKBONE  folder of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)
#   WIKI      dump of 775 pages of English Wikipedia (CC BY-SA 4.0): enwiki-sample-pages-articles-multistream.xml.bz2
#   DBPEDIA   folder with DBpedia's ontology.xml.xz and Mapping_en.xml.xz (CC BY-SA 3.0)
#   TYPES     folder with types of titles: combined.tsv.xz and joie_db111k.tsv.xz (of DBpedia, CC BY-SA 3.0)
#   NER       folder of annotated data sets: sentences in a dev.conll or test.conll there are left out of the corpus
# It runs in the repository's folder, with nerbert[train,export] installed.
set -euo pipefail
[ $# = 6 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
backbone=$1 wiki=$2 dbpedia=$3 types=$4 ner=$5 out=$6 work=$6.work
sha256sum --check --quiet <<SUMS
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  $backbone/model.safetensors
d0529d1d67bf9b94b62992f7db390444a8007da65e448a0a33a9b0fc6f28a91a  $wiki
3910a41842ca1d93e17cd36431349949c8232671da2c525e55c53def898adcf4  $dbpedia/ontology.xml.xz
0a0c96a11fd554f6febbfbf0fce89eb7898b37124b6a180d11220f0f46cc49b6  $dbpedia/Mapping_en.xml.xz
d363ba907d738e3b423e1757b6f98f2dff1ec5ab24d91bc8fe4034fda460b4f6  $types/combined.tsv.xz
8120b6f04fce45760f5e9a0e20750ee61476831242d3571b56a0c4fc246aa4eb  $types/joie_db111k.tsv.xz
SUMS
mkdir -p "$work"
python sources/open_types/build.py -o "$work/open-types"
nerbert corpus build "$wiki" --knowledge "$dbpedia" --knowledge "$types/combined.tsv.xz" \
  --knowledge "$types/joie_db111k.tsv.xz" -o "$work/corpus" --exclude "$ner"/*/dev.conll "$ner"/*/test.conll
nerbert pretrain nerbert/configs/names.toml -o "$work/trained" --set backbone="$backbone" --set corpus="$work/corpus" \
  --set threads=1 --set names.shared=true --set "open_types.files=[\"$work/open-types/train.jsonl\"]" \
  --set "open_types.dev=[\"$work/open-types/dev.jsonl\"]"
python models/minilm/pack.py "$work/trained" "$out"
