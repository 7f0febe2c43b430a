CREATE INDEX changes_of_subject ON changes (subject_id, id);
