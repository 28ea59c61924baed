# SPDX-License-Identifier: Apache-2.0
# git: init, commit, branch, merge, log, clone of a local repository, gc, fsck.
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
git -c init.defaultBranch=main init -q repo && cd repo
cp -r /usr/include/linux . && git add . && git commit -qm 'first' && git log --oneline | cat
git checkout -qb topic && sed -i s/struct/STRUCT/ linux/stat.h && git commit -qam 'topic' && git checkout -q main
echo new >new && git add new && git commit -qm 'second' && git merge -q -m merged topic
git log --graph --oneline --all | cat
git diff --stat HEAD~1 | tail -2
git status --short | wc -l
for i in $(seq 20); do echo $i >>new; git commit -qam "change $i"; done
git log --oneline | wc -l
git gc -q && git count-objects -v | grep -E 'count|in-pack|packs' 
git fsck --full 2>&1 | wc -l
cd .. && git clone -q repo copy && git -C copy log -1 --format='%H %s' && diff -r --exclude=.git repo copy && echo same
git clone -q --bare repo bare.git && git -C bare.git rev-parse main
cd copy && echo pushed >p && git add p && git commit -qm push && git push -q ../bare.git HEAD:main && git -C ../bare.git log -1 --format=%s main
git -C ../repo blame new | wc -l; git grep -c STRUCT linux/stat.h
git stash list; echo x >>p; git stash -q; cat p; git stash pop -q; cat p
