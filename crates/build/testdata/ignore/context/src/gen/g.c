src/gen/g.c
