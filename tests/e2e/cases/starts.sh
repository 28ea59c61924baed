# SPDX-License-Identifier: Apache-2.0
# limit: 200
# 200 starts in a row each of sh, bash and python3, without a failure.
for i in $(seq 200); do sh -c "exit $((i % 100))"; [ $? = $((i % 100)) ] || echo "sh $i"; done; echo sh
for i in $(seq 200); do bash -c 'x=$(echo $0); [ "$x" = '$i' ]' $i || echo "bash $i"; done; echo bash
for i in $(seq 200); do [ "$(python3 -S -c 'import sys; print(sys.argv[1])' $i)" = $i ] || echo "python3 $i"; done; echo python3
