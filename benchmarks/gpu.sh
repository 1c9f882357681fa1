#!/bin/bash
# What to run on a machine with a GPU, about 12 minutes: the tests marked gpu, and the bench of the default network at
# three batch sizes and of one for photos. From the repository's folder; the tables go to the screen and to FOLDER.
#
#     bash benchmarks/gpu.sh [FOLDER]
#
# DEVICE=cpu ROUNDS=2 bash benchmarks/gpu.sh tries the script itself where there is none.
set -u
out=$(mkdir -p "${1:-${OUT:-outputs/gpu}}" && cd "${1:-${OUT:-outputs/gpu}}" && pwd)
device=${DEVICE:-cuda}
python=${PYTHON:-python}
export PYTHONPATH=$PWD:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}

bench() {
    name=$1
    shift
    timeout "${SECONDS_EACH:-150}" "$python" -m vae_runner.bench "$@" "engine.device=$device" \
        --starts 1 --rounds "${ROUNDS:-8}" --seconds "${TURN:-1}" 2>&1 | tee "$out/$name.txt" | grep -v '^{'
}

timeout 240 "$python" -m pytest -q -m gpu tests 2>&1 | tee "$out/tests.txt" | tail -15
for size in ${SIZES:-64 256 1024}; do
    bench "dsprites-$size" "engine.batch_size=$size"
done
photos=$out/photos
"$python" -c "import sys, pathlib, photos; photos.write_photos(pathlib.Path(sys.argv[1]), 2000, (80, 80))" "$photos"
bench photos-256 experiment=photos64 dataset=folder "dataset.root=$photos" engine.batch_size=256
if grep -l "going on without\|skipping cudagraphs" "$out"/*.txt; then
    echo "the step was not compiled, or not recorded: see the files above"
fi
