/* SPDX-License-Identifier: Apache-2.0
 * JSON objects to table rows: one row here per column there. Pure but for the table. */
#ifndef CTL_COLUMN_H
#define CTL_COLUMN_H
#include "controller/ctl/output.h"

enum column_kind {
	COL_TEXT,
	COL_NUM,
	COL_SI,	    /* decimal prefixes */
	COL_PCT,    /* a ratio; yellow from 85 %, red from 100 % */
	COL_BAR,    /* the same as a bar of ten */
	COL_AGE,    /* milliseconds since it was heard; red above 10 s */
	COL_SINCE,  /* milliseconds, of any size */
	COL_YES,    /* yes, or NO in red */
	COL_FLAG,   /* the title in lower case when true or an object, else empty; yellow */
	COL_RANGE,  /* {"lo", "hi"}: one figure, or two when they differ */
	COL_CELLS,  /* of {"site", "grade", "wanted"}: "fra:normal ams:normal>prepend1" */
	COL_COUNTS, /* {"normal": 7, "prepend1": 1}: "normal:7 prepend1:1"; yellow unless all is normal */
	COL_LIST,   /* strings, or the names of objects, with commas */
	COL_COUNT,  /* of an array */
};

struct column {
	const char *title; /* as table_new takes it; the last row's is NULL */
	const char *field; /* "load.bps": dots go into objects */
	enum column_kind kind;
};

/* A new table with one row per object of items (an array). A field that is missing or null shows
 * as "-"; as nothing in a flag column. */
struct table *column_table(const struct column *cols, json_t *items);
/* The value at "a.b"; NULL when missing. Borrowed. */
json_t *column_field(const json_t *obj, const char *field);
#endif
