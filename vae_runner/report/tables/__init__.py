"""Tables of runs that a reader turns over: `sortable` writes them, `sortable.js` sorts, filters and folds them."""
